"""The look of every page and plot: colours, and the style sheet that uses them."""
