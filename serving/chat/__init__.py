"""The chat API: answers in a style, streamed, and the same as an OpenAI-compatible API."""
