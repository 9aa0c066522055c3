"""What the local web pages share: who may call, how they are served, pages and files that all have."""
