"""Whether a challenger may replace the champion: a pure judgement of recorded evidence."""
