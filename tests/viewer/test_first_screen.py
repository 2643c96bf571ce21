"""What the Walk tab's own elements and the keys beside them do in a browser."""

from __future__ import annotations

from tests.support.browsers import Browser
from tests.support.standins import until
from viewer.first_person.reports import PageSize
from viewer.page.pointing import PointerEvent
from vmem.formats.photos import samples


def click(browser: Browser, target: str, kind: str = "click") -> None:
    """The pointer clicks a mark of the panel, or does something else there."""
    event = PointerEvent(kind, target, (0.5, 0.5), 1)  # pyright: ignore[reportArgumentType]
    browser.client.post(browser.client.actions.point, event)
    browser.rests()


def test_modes_layouts_and_photos_are_chosen_by_a_click(browser: Browser) -> None:
    settings, walk = browser.workspace.settings, browser.client.display.walk
    for target in ("mode:scout", "mode:walk", "mode:step"):
        click(browser, target, "enter")
        assert walk.mode.chosen == settings.mode != target.partition(":")[2]
        click(browser, target)
        assert walk.mode.chosen == settings.mode == target.partition(":")[2]
    browser.client.page_said(PageSize(1400, 800, touch=False))
    browser.rests()
    for target in ("layout:picture", "layout:both", "layout:memory"):
        click(browser, target)
        assert walk.layout.chosen == settings.layout == target.partition(":")[2]
    for nonsense in ("mode:fly", "layout:none", "photo:none"):
        click(browser, nonsense)
    assert (settings.mode, settings.layout) == ("step", "memory")
    before = browser.session
    sample = samples()[-1]
    click(browser, f"photo:{sample.path.stem}")
    until(lambda: browser.session is not before)
    source = browser.workspace.source
    assert source is not None
    assert source.title == sample.title


def test_keys_save_what_is_seen_and_another_walk_ends_the_clip(browser: Browser) -> None:
    picture, told = browser.client.display.picture, []
    picture._call = lambda operation, **config: told.append(operation)  # pyright: ignore
    browser.presses("KeyC")
    browser.presses("KeyC", shift=True)
    browser.rests()
    assert told == ["screenshot", "record"]
    before = browser.session
    browser.client.commands.open_again()
    until(lambda: browser.session is not before)
    browser.rests()
    assert "keepClip" in told[2:]
