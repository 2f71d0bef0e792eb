"""The page of a fleet in a browser: the grid, its keys, one host, tables, hostile text, time.

Prints `loaded` before the last case; then the test stops etcd.
"""

import browser
from browser import WORD

SAID = "document.getElementById('verdict').textContent"
CELLS = "document.querySelectorAll('#hosts .cell').length"
FOCUSED = "document.activeElement.dataset.host || ''"
TEXT = "document.getElementById('{}').textContent"


async def press(tab, key, code):
    for kind in ("keyDown", "keyUp"):
        text = "\r" if key == "Enter" and kind == "keyDown" else ""
        await tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text,
                       windowsVirtualKeyCode=code)


async def loads(tab, options):
    await tab.open(options.url)
    await tab.until("data arrive", f"{WORD}.includes('LOADING') ? '' : {WORD}")
    await tab.until("all hosts are there", CELLS, lambda cells: cells == options.hosts)
    assert await tab.value(TEXT.format("name")) == "aop fleet /aop"
    assert await tab.value("document.querySelectorAll('#facts div').length") == 8
    said = await tab.value(SAID)
    assert f"of {options.hosts:,} hosts enforce" in said and "CRITICAL" in said, said


async def the_worst_hosts_come_first_with_a_sign_and_a_word(tab, options):
    titles = "[...document.querySelectorAll('#hosts h3')].map((it) => it.textContent)"
    titles = await tab.value(titles)
    words = [title.split(":")[0].split() for title in titles]
    assert words[0] == ["✗", "critical"] and words[-1] == ["✓", "ok"], titles
    assert ["○", "silent"] in words and ["!", "warning"] in words, titles
    texts = "[...document.querySelectorAll('#hosts .cell')].map((it) => it.textContent.trim()[0])"
    assert set(await tab.value(texts)) == {"✗", "○", "!", "✓"}
    label = await tab.value("document.querySelector('#hosts .cell').getAttribute('aria-label')")
    assert "critical" in label and "eth0 is not filtered" in label, label


async def certificates_orders_and_waiting_modes_are_shown(tab, options):
    certificates = await tab.value(TEXT.format("certificates"))
    assert "newest, not everywhere" in certificates and "in use at" in certificates, certificates
    # By name, "web-101" is before "web-4".
    lacks = "web-4" if options.hosts < 101 else "web-101"
    assert lacks in certificates and "example.com" in certificates, certificates
    waiting = await tab.value(TEXT.format("waiting"))
    assert "web-10" in waiting and "3 of 20" in waiting and "min" in waiting, waiting
    orders = await tab.value(TEXT.format("orders"))
    assert "reload" in orders and " done" in orders, orders
    shares = await tab.value(TEXT.format("shares"))
    assert "0.0.9" in shares, shares
    assert "server certificate" in await tab.value(TEXT.format("ends"))


async def the_keyboard_reaches_each_host_and_opens_it(tab, options):
    await tab.value("document.getElementById('filter').focus()")
    await press(tab, "Tab", 9)
    first = await tab.value(FOCUSED)
    assert first, "the grid is not reached"
    for key, code in (("End", 35), ("ArrowLeft", 37), ("ArrowRight", 39), ("Home", 36)):
        await press(tab, key, code)
    assert await tab.value(FOCUSED) == first
    await press(tab, "ArrowDown", 40)
    below = await tab.value(FOCUSED)
    assert below not in ("", first), below
    await press(tab, "ArrowUp", 38)
    assert await tab.value("document.querySelectorAll('#hosts [tabindex=\"0\"]').length") == 1
    await press(tab, "Enter", 13)
    opened = await tab.until("the host is open", TEXT.format("host"), lambda text: "state" in text)
    assert "critical" in opened and "eth0 is not filtered" in opened, opened
    await tab.shoot(options.folder, "host", 1280, 900)
    await press(tab, "Escape", 27)
    assert await tab.value("document.getElementById('host-card').hidden")
    focus = "document.activeElement.className.includes('cell')"
    assert await tab.value(focus), "the focus is lost"


async def the_focus_stays_while_data_arrive(tab, options):
    before = await tab.value(FOCUSED)
    beat = await tab.value(TEXT.format("beat"))
    await tab.until("new data arrive", TEXT.format("beat"), lambda now: now != beat)
    assert before and await tab.value(FOCUSED) == before


async def a_filter_leaves_the_hosts_that_fit(tab, options):
    write = ("(() => {{ const it = document.getElementById('filter'); it.value = '{}';"
             "it.dispatchEvent(new Event('input')); }})()")
    await tab.value(write.format("silent"))
    assert await tab.value(CELLS) == len([it for it in range(2, options.hosts + 1) if it % 97 == 5])
    await tab.value(write.format("nobody-has-this-name"))
    assert await tab.value(CELLS) == 0
    await tab.value(write.format(""))
    assert await tab.value(CELLS) == options.hosts


async def hostile_text_stays_text(tab, options):
    await tab.value("open('web-3')")
    shown = f"document.getElementById('host').textContent.includes({options.hostile!r})"
    await tab.until("the label is shown", shown)
    await tab.value("close()")
    reason = "document.querySelector('#hosts .cell').getAttribute('aria-label')"
    assert options.hostile in await tab.value(reason)
    assert await tab.value("document.querySelectorAll('main img').length") == 0
    assert await tab.value("window.owned === undefined")


async def it_is_fast(tab, options):
    draw = ("(() => { const begun = performance.now(); show(last); document.body.offsetHeight;"
            "return performance.now() - begun; })()")
    again = await tab.value(draw)
    await tab.value("cells.clear(); groups.clear(); byId('hosts').replaceChildren()")
    first = await tab.value(draw)
    size = await tab.value("fetch('/page.json').then((it) => it.text()).then((it) => it.length)")
    figures = (f"{options.hosts} hosts: {size} bytes of JSON, drawn in {first:.0f} ms, "
               f"again in {again:.0f} ms\n")
    (options.folder / "figures.txt").write_text(figures)
    assert first < 5000 and again < 2000, (first, again)


async def without_colour_states_still_differ(tab, options):
    await tab.call("Emulation.setEmulatedVisionDeficiency", type="achromatopsia")
    await tab.shoot(options.folder, "grey", 1280, 900)
    await tab.call("Emulation.setEmulatedVisionDeficiency", type="none")
    await tab.media(forced_colors="active")
    await tab.shoot(options.folder, "forced-colours", 1280, 900)
    await tab.media()


async def the_page_of_a_host_shows_its_link_to_the_fleet(tab, options):
    await tab.open(options.url.replace("9470", "9465"))
    shown = await tab.until("the link", TEXT.format("fleet"), lambda text: "last report" in text)
    assert "web-1 in /aop" in shown and "reports arrive" in shown and "fleet page" in shown, shown
    await tab.shoot(options.folder, "of-a-host", 1280, 900)
    await tab.open(options.url)
    await tab.until("data arrive", CELLS, lambda cells: cells == options.hosts)


async def etcd_away_is_told_and_the_last_view_is_marked_as_old(tab, options):
    print("loaded", flush=True)
    await tab.until("it is told", SAID, lambda said: "etcd has not been read since" in said)
    assert await tab.value("document.body.classList.contains('stale')")
    assert await tab.value(CELLS) == options.hosts
    await tab.shoot(options.folder, "etcd-away", 1280, 900)


CASES = [
    loads,
    the_worst_hosts_come_first_with_a_sign_and_a_word,
    browser.the_page_overflows_at_no_width,
    browser.dark_and_light_differ_and_both_can_be_read,
    certificates_orders_and_waiting_modes_are_shown,
    the_keyboard_reaches_each_host_and_opens_it,
    the_focus_stays_while_data_arrive,
    a_filter_leaves_the_hosts_that_fit,
    hostile_text_stays_text,
    it_is_fast,
    without_colour_states_still_differ,
    browser.the_console_stays_silent,
    browser.the_policy_stops_scripts_markup_and_other_hosts,
    browser.a_foreign_name_reaches_no_data,
    the_page_of_a_host_shows_its_link_to_the_fleet,
    etcd_away_is_told_and_the_last_view_is_marked_as_old,
]

browser.main(CASES, needed=(loads,), paths=("fleet.json",), hosts=0)
