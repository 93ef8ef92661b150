"""What a run leaves for people and for their tools: its log, its page, its metrics, and word of its end."""
