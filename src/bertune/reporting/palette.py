"""The colours of figures. In the page, each is a CSS variable that follows the reader's colour scheme."""

INK, MUTED, GRID = "#1b2026", "#5b6570", "#dfe3e7"
BLUE, ORANGE, GREEN, VIOLET = "#1d5fb4", "#b8500f", "#1f7f6d", "#7551a8"
WHITE = "#ffffff"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    BLUE: "--accent",
    ORANGE: "--warm",
    GREEN: "--third",
    VIOLET: "--fourth",
    WHITE: "--on-accent",
}
