"""Writes page.html, the page of `dvc plots show` (plots.html_template in .dvc/config), with its scripts inside.

DVC's own page loads them from a CDN; this one works offline and anywhere it is moved to. At its end it names the plots
that have no data yet, where DVC's own has an empty frame for each. Run after `npm ci` here.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = ("vega", "vega-lite", "vega-embed")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>DVC plots</title>
@SCRIPTS@
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem }
body > div { display: inline-block; margin: 1rem }
table { border-spacing: 15px }
</style>
</head>
<body>
<script>
const draw = vegaEmbed, missing = [];
vegaEmbed = (place, spec) => {
  if (Object.keys(spec).length) return draw(place, spec);
  missing.push(place.slice(1).replaceAll("_", " "));
  document.querySelector(place).remove();
};
</script>
{plot_divs}
<script>
if (missing.length) document.body.append("No data yet: " + missing.join(", "));
</script>
</body>
</html>
"""


def script(package: str) -> str:
    folder = HERE / "node_modules" / package
    licence = (folder / "LICENSE").read_text(encoding="utf-8").replace("--", "- -")
    code = (folder / "build" / f"{package}.min.js").read_text(encoding="utf-8")
    code = re.sub(r"^//# sourceMappingURL.*$", "", code, flags=re.MULTILINE)
    return f"<!-- {package}\n{licence}-->\n<script>{code}</script>"


if __name__ == "__main__":
    # DVC fills braces in by plain replacement of {plot_divs}, so braces in the scripts are safe.
    (HERE / "page.html").write_text(PAGE.replace("@SCRIPTS@", "\n".join(map(script, SCRIPTS))), encoding="utf-8")
