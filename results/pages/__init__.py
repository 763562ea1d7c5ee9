"""Pages: what the table says, as people read it. :mod:`results.pages.render` writes them."""
