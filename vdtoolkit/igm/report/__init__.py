"""How audits and lab runs are shown: terminal, figures, one HTML page, JSON."""
