"""The HTTP edge for people, companies and platforms. An endpoint is three moves: parse, call one service function, render."""
