"""The checks of `access` see what they look for; the story then holds every page to them."""

import pytest

from tests.e2e import access

pytestmark = pytest.mark.e2e

GOOD = '<h1>Page</h1><button>Go</button><label>Name<input></label><a href="/x" title="There"></a>'
STYLE = "<style>:root { color-scheme: light; background: #fff; color: #111; }</style>"


@pytest.fixture(scope="module")
def page(browser):
    with browser.new_page() as page:
        yield page


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ('<p style="color: #888">grey</p>', "faint, light"),
        ('<p style="opacity: .5">pale</p>', "faint, light"),
        ('<p style="color: #949494; font-size: 24px">large</p>', None),
        ('<p style="background: #0f766e; color: #fff">white on teal</p>', None),
        ('<button disabled style="color: #aaa">off</button>', None),
        ("<button></button>", "no name"),
        ('<input type="text">', "no name"),
        ('<div style="cursor: pointer">press</div>', "for the mouse alone"),
        ('<div style="cursor: pointer" tabindex="0">press</div>', None),
        ("<button onfocus=\"this.blur()\" aria-label='shy'>?</button>", "not met by Tab"),
        ('<p class="shade"></p>', "faint, light"),
    ],
)
def test_a_fault_is_seen_and_a_good_page_has_none(page, planted, fault, monkeypatch):
    monkeypatch.setattr(access, "COLOURS_MS", 100)  # nothing fades in here
    page.set_content(STYLE + GOOD + planted)
    page.evaluate(
        """() => {
          const host = document.querySelector(".shade");
          if (host) host.attachShadow({ mode: "open" }).innerHTML = '<b style="color: #999">in</b>';
        }"""
    )

    found = access.faults(page)

    if fault is None:
        assert found == []
    else:
        assert any(line.startswith(fault) for line in found)
