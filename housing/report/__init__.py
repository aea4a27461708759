"""One night, told to people: an HTML page, a short Markdown text, and the plots in them."""
