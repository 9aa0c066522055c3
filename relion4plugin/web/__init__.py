"""Pages for a browser: self-contained HTML reports."""
