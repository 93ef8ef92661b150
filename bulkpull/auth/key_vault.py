"""Reads a secret from an Azure Key Vault when it is needed."""

from __future__ import annotations

from bulkpull.auth.token_errors import first_sentence
from bulkpull.config.secrets import VaultReference
from bulkpull.errors import AuthError, SettingsError
from bulkpull.redact import register_secret


async def fetch_secret(reference: VaultReference, *, setting: str) -> str:
    """
    Ask the vault, as whoever this machine is to Azure: environment, workload or managed identity, or `az login`.

    Raises:
        SettingsError: The libraries are not installed.
        AuthError: The vault gives no such secret to this identity.
    """
    what = f"`{setting}`: the secret {reference.name} of {reference.vault_url} cannot be read"
    try:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - an extra, and slow to load
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - the same
    except ImportError:
        raise SettingsError(
            what, why="the libraries for Azure are not installed", fix="pip install 'bulkpull[azure]'"
        ) from None
    refused: Exception
    try:
        async with DefaultAzureCredential() as credential, SecretClient(reference.vault_url, credential) as client:
            value = (await client.get_secret(reference.name, reference.version)).value
    except Exception as error:  # noqa: BLE001 - the libraries raise errors of many families, with addresses in them
        refused = error
    else:
        if value:
            register_secret(value)
            return value
        refused = ValueError("it is empty")
    raise AuthError(
        what,
        why=first_sentence(str(refused)) or type(refused).__name__,
        fix="check the reference, and that this machine's identity has the role Key Vault Secrets User there",
    )
