"""Names that people or their tools gave to files and classes, the worst of them."""

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'quotes', \"double\" & {{ 7 * 7 }} {% raw %}",
    "javascript:alert(3)",
    "</title></style></script><h1>out</h1><!--",
    "x" * 300,
    "many words " * 27,
    "שלום עולם, مرحبا بالعالم",
    "\u202egpj.exe\u2066",
    "👩\u200d👩\u200d👧 🎉 🇨🇭",
    "line\nfeed\r\ttab",
    "nul\0\x1b[31m\x7f\x85",
    "half \ud800 a pair \udcff",
    "打篮球",
    " ",
]
