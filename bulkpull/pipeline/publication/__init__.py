"""From converted files to a published snapshot."""
