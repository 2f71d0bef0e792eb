"""The status page in a browser: loading, updates, its policy, hostile text, colours and widths.

Prints `loaded` once the page shows data; then the test makes new traffic.
"""

import pathlib

import browser
from browser import WORD

TOTAL = "Number((document.querySelector('#handshakes tbody tr td:last-child') || {textContent: ''}).textContent.replaceAll(',', ''))"


async def loads(tab, options):
    await tab.open(options.url)
    await tab.until("data arrives", f"{WORD}.includes('LOADING') ? '' : {WORD}")
    host = pathlib.Path("/proc/sys/kernel/hostname").read_text().strip()
    name = await tab.value("document.getElementById('name').textContent")
    assert name == f"aop on {host}", name
    assert await tab.value("document.querySelectorAll('#facts div').length") == 8


async def updates(tab, options):
    before = await tab.until("a total", TOTAL, lambda total: total is not None)
    print("loaded", flush=True)
    await tab.until("the total grows", TOTAL, lambda total: total > before)
    rate = "document.querySelector('#handshakes-legend b').textContent"
    await tab.until("a rate is shown", rate, lambda rate: rate not in ("–", "0/s"))
    drops = "document.getElementById('packets').textContent.includes('unknown_source')"
    await tab.until("drops are shown", drops)
    drawn = "document.querySelector('#handshakes-plot .s-pass').getAttribute('d').length"
    await tab.until("the plot is drawn", drawn, lambda length: length > 20)


async def hostile_text_stays_text(tab, options):
    if not options.hostile:
        return
    shown = f"document.getElementById('identities').textContent.includes({options.hostile!r})"
    await tab.until("the text is shown", shown)
    assert await tab.value("document.querySelectorAll('main img').length") == 0
    assert await tab.value("window.owned === undefined")


async def without_colour_states_and_lines_still_differ(tab, options):
    await tab.call("Emulation.setEmulatedVisionDeficiency", type="achromatopsia")
    await tab.shoot(options.folder, "grey", 1280, 900)
    await tab.call("Emulation.setEmulatedVisionDeficiency", type="none")
    word = await tab.value(WORD)
    assert word.split()[-1] in ("OK", "WARNING", "CRITICAL"), word
    dashes = "getComputedStyle(document.querySelector('#packets-plot .s-{}')).strokeDasharray"
    solid, dashed = [await tab.value(dashes.format(kind)) for kind in ("pass", "drop")]
    assert solid == "none" and dashed != "none", (solid, dashed)
    await tab.media(forced_colors="active")
    await tab.shoot(options.folder, "forced-colours", 1280, 900)
    await tab.media()


CASES = [
    loads,
    updates,
    hostile_text_stays_text,
    browser.the_page_overflows_at_no_width,
    browser.dark_and_light_differ_and_both_can_be_read,
    without_colour_states_and_lines_still_differ,
    browser.the_console_stays_silent,
    browser.without_an_answer_the_old_verdict_is_gone,
    browser.the_policy_stops_scripts_markup_and_other_hosts,
    browser.a_foreign_name_reaches_no_data,
]

browser.main(CASES, needed=(loads, updates))
