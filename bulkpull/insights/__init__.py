"""What we know of the service: its calls, its replies, its errors, its tokens (calls, wire, verdict, auth, client)."""
