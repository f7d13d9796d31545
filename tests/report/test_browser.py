"""The page in a browser: it fits a telephone, shows its figures and wants nothing from a network."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from workbench.report import html
from workbench.results import Result, Run

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ASK = """
<script>
const pictures = [...document.images];
document.documentElement.dataset.width = document.documentElement.scrollWidth;
document.documentElement.dataset.pictures = pictures.filter(one => one.complete && one.naturalWidth > 0).length;
document.documentElement.dataset.missing = pictures.filter(one => !one.complete || !one.naturalWidth).length;
</script>
"""

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="there is no chromium here (on Debian: apt-get install chromium)"
)


def browse(folder: Path, *arguments: str) -> str:
    """Let a browser that reaches no network look at something."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--proxy-server=127.0.0.1:9", "--virtual-time-budget=5000"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def page(keep_in: Callable[..., Run], virtual: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return html.write(keep_in(virtual, tmp_path_factory.mktemp("results")))


@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_is_no_wider_than_the_window_and_shows_its_figures(page: Path, width: int, tmp_path: Path) -> None:
    # Its own policy allows no script; the copy that asks has none.
    start, policy, rest = page.read_text().partition('<meta http-equiv="Content-Security-Policy"')
    assert policy, "the page has a policy"
    copy = tmp_path / "page.html"
    copy.write_text((start + rest.partition(">")[2]).replace("</body>", ASK + "</body>"))
    seen = browse(tmp_path, f"--window-size={width},900", "--dump-dom", copy.as_uri())
    found = {
        name: int(seen.partition(f'data-{name}="')[2].partition('"')[0]) for name in ("width", "pictures", "missing")
    }
    assert found["width"] <= width
    assert found["pictures"] >= 2
    assert found["missing"] == 0


def test_a_screenshot_shows_more_than_paper(page: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browse(tmp_path, "--window-size=1280,2400", f"--screenshot={picture}", page.as_uri())
    pixels = np.asarray(matplotlib.image.imread(picture))[..., :3]
    assert pixels.shape[:2] == (2400, 1280)
    ink = (np.abs(pixels - pixels[2, 2]).max(axis=2) > 0.1).mean(axis=1)
    assert (ink > 0).mean() > 0.4, "most of its lines have something on them"
