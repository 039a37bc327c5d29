"""Which event of the page calls what: a function for each part of it."""

from __future__ import annotations

from typing import Any, cast

import gradio as gr
from gradio.context import Context

from app.demo.authority_events import AuthorityEvents
from app.demo.compare_events import CompareEvents
from app.demo.controls import Controls
from app.demo.eraser_events import EraserEvents
from app.demo.forge import SCROLL
from app.demo.forge_events import ForgeEvents
from app.demo.line import HEAVY
from app.demo.panel import OPEN, PanelView
from app.demo.panel_events import PanelEvents
from app.demo.photo_events import PhotoEvents
from app.demo.protect import View
from app.demo.protect_events import RunEvents
from app.demo.pull import Box, PullEvents
from app.demo.setting_events import SettingEvents
from app.demo.stolen import StolenEvents
from engines.methods import METHODS

RESIZE = "() => { for (const wait of [50, 400]) setTimeout(() => window.dispatchEvent(new Event('resize')), wait) }"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# A link is the page's own address and what the server knows of it, the query.
ADDRESS = "link => link && link.startsWith('?') ? location.origin + location.pathname + link : link"
LIGHT = {**QUIET, "concurrency_limit": 4, "concurrency_id": "light"}
# What decodes a photo, finds its faces or asks recognisers: a few seconds, which no click of others waits for.
LOOKS = {**QUIET, "concurrency_limit": 2, "concurrency_id": "looks"}
CURVES = {**QUIET, "concurrency_limit": 1, "concurrency_id": "curves"}
LAST = {**LIGHT, "trigger_mode": "always_last"}  # of quick choices none is dropped: the last one counts
# While a method's knobs are on their way Protect waits: pressed now, it would send what the last method's say.
WAITING = "document.querySelector('#lv-protect').disabled = (window.lvWaiting = (window.lvWaiting || 0) %s 1) > 0"
HOLD, RELEASE = f"(...asked) => {{ {WAITING % '+'}; return asked }}", f"() => {{ {WAITING % '-'} }}"
WORK = {**QUIET, "concurrency_id": HEAVY, "concurrency_limit": 1}


def run(demo: gr.Blocks, view: View, run: RunEvents, controls: Controls, width: Any) -> None:
    everything = [*view.everything, *controls.components]
    inputs = {view.method, view.targets, view.seed, view.far, view.format, view.quality, *controls.components}
    inputs |= {run.panel.attacked, run.panel.held_out, view.identity, view.key, view.words}
    pressed = view.protect.click(run.begin, None, everything, queue=False, **QUIET)
    work = pressed.then(
        run.run,
        inputs,
        everything,
        concurrency_id=HEAVY,
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=[view.status],
        api_visibility="private",
    )
    view.cancel.click(run.cancel, None, everything, cancels=[work], queue=False, **QUIET)
    demo.load(run.open, width, everything, js="() => [window.innerWidth]", **LIGHT)
    view.timer.tick(run.welcome, None, everything, **LIGHT)
    demo.unload(run.leave)
    view.to_study.click(run.send_to_study, None, view.sent, **LIGHT)
    # A figure drawn inside a closed fold has a made-up width: let it measure again.
    view.curves_fold.expand(None, None, None, js=RESIZE, **QUIET)


def photos(view: View, photos: PhotoEvents, controls: Controls) -> None:
    everything = [*view.everything, *controls.components]
    loading = {**LOOKS, "show_progress": "minimal"}
    panel = photos.panel.view
    view.drop.upload(
        photos.take_photo,
        [view.drop, panel.held_out],
        [*everything, *panel.everything],
        show_progress_on=[view.photo],
        **loading,
    )
    view.ways.click(photos.try_portrait, None, everything, **LOOKS)
    view.photo.select(photos.click, None, everything, **LOOKS)
    view.box.click(photos.draw_box, None, everything, **LIGHT)
    view.face.input(photos.choose_face, view.face, everything, **LAST)
    view.edges.submit(photos.type_box, view.edges, everything, **LOOKS)
    view.extra.upload(photos.take_targets, view.extra, everything, show_progress_on=[view.extra_line], **loading)
    view.extra_clear.click(photos.drop_targets, None, everything, **LIGHT)
    view.reference.upload(
        photos.take_reference, view.reference, everything, show_progress_on=[view.reference_line], **loading
    )
    view.reference_clear.click(photos.drop_reference, None, everything, **LIGHT)


def settings(view: View, settings: SettingEvents, controls: Controls) -> None:
    folds = [view.settings, view.target_fold, view.identity_fold, view.watermark_fold]
    knobs = [view.summary, view.preset, *folds, *controls.components]
    chosen = view.method.input(settings.choose_method, view.method, knobs, js=HOLD, **LAST)
    reset = view.reset.click(settings.choose_method, view.method, knobs, js=HOLD, **LIGHT)
    suggest = {"fn": settings.suggest, "inputs": view.method, "outputs": [view.status, *controls.components]}
    if any(hasattr(method, "suggests") for method in METHODS.values()):
        for moved in (view.photo.change, view.method.change, reset.then):
            moved(**suggest, **LIGHT)
    preset = view.preset.input(settings.choose_preset, [view.method, view.preset], knobs, js=HOLD, **LAST)
    for coming in (chosen, reset, preset):
        coming.then(None, None, None, js=RELEASE, **QUIET)
    naming = {"fn": settings.name_identity, "inputs": [view.identity, view.key], "outputs": view.identity_line}
    gr.on([view.identity.change, view.key.change, view.identity_fold.expand], **naming, **LIGHT)
    marks = [view.mark_drop, view.mark_line, view.mark_clear]
    view.mark_drop.upload(settings.take_mark, view.mark_drop, marks, **LOOKS)
    view.mark_clear.click(settings.drop_mark, None, marks, **LIGHT)
    view.format.input(settings.choose_format, view.format, view.quality, **LAST)
    view.view.input(settings.choose_view, view.view, view.slider, **LAST)
    # A knob moved by hand is no preset any more; said in the browser, without a round trip.
    gr.on([part.input for part in controls.components], None, None, view.preset, js="() => null", **QUIET)


def forge(tabs: Any, tab: Any, from_view: View, events: ForgeEvents) -> None:
    view = events.view
    work = {
        "inputs": set(view.inputs),
        "outputs": view.everything,
        "concurrency_id": HEAVY,
        "show_progress": "minimal",
        "show_progress_on": [view.status],
        "api_visibility": "private",
    }
    sent = from_view.to_forge.click(lambda: gr.Tabs(selected="forge"), None, tabs, queue=False, **QUIET)
    runs = [
        tab.select(events.open, **work),
        sent.then(events.receive, **work),
        view.forge.click(events.run, **work),
    ]
    # Of quick moves the last one counts.
    moved = [
        view.edit.input,
        *(part.release if hasattr(part, "release") else part.input for part in view.knobs.values()),
    ]
    runs.append(gr.on([*moved, view.source.input], events.again, trigger_mode="always_last", **work))
    view.cancel.click(events.cancel, None, view.everything, cancels=runs, queue=False, **QUIET)
    loading = {**LOOKS, "show_progress": "minimal", "show_progress_on": [view.sitter]}
    view.drop.upload(events.take, view.drop, view.everything, **loading)
    view.source.change(events.choose, view.source, view.everything, **LIGHT)
    view.wall.click(events.enlarge, None, view.everything, **LIGHT).then(None, None, None, js=SCROLL, **QUIET)


def compare(tab: Any, from_view: View, events: CompareEvents, panels: PanelEvents) -> None:
    view, page, everything = events.view, cast(Any, Context.root_block), events.view.everything
    borrowed = events.borrowed
    loading = {**LOOKS, "show_progress": "minimal"}
    # "multiple": Compare may be pressed again before the run that other photos have stopped is over.
    work = {"concurrency_id": HEAVY, "trigger_mode": "multiple", **QUIET}
    page.load(events.arrive, view.link, tab.parent, js="() => [location.search]", **LIGHT)
    opening = {"js": "(link, threat) => [location.search, threat]", **LIGHT}
    opened = tab.select(events.open, [view.link, view.threat], [*everything, *borrowed.everything], **opening)
    seen_by = [borrowed.attacked, borrowed.held_out, from_view.method]
    opened.then(panels.method, seen_by, panels.view.everything, **LIGHT)
    view.threat.input(events.choose_threat, view.threat, view.claims, **LAST)
    view.add.click(events.add, [view.chosen, from_view.method, *events.controls.components], everything, **LIGHT)
    view.suited.click(events.choose_suited, view.threat, everything, **LIGHT)
    view.drop.upload(events.take, view.drop, everything, show_progress_on=[view.sitter], **loading)
    view.clear.click(events.clear, None, everything, **LIGHT)
    settings = [view.chosen, view.swept, view.steps, borrowed.far, view.threat, view.natural, view.blind]
    asked = [*settings, borrowed.targets, borrowed.attacked, borrowed.held_out]
    pressed = view.compare.click(events.begin, asked, everything, queue=False, **QUIET)
    run = pressed.then(events.run, None, everything, **work)
    view.cancel.click(events.cancel, None, everything, cancels=[run], queue=False, **QUIET)
    view.board.click(events.sort, None, view.board, **LIGHT)
    seen = [view.photo, view.blind, view.natural]
    looked = gr.on([part.input for part in seen], events.look, seen, everything, **LAST)
    for done in (pressed, run, looked):
        done.then(None, view.link, view.link, js=ADDRESS, **QUIET)
    view.step.input(events.show_step, view.step, view.step_view, **LAST)
    view.study.click(events.send_to_study, None, view.sent, **LIGHT)


def authority(tabs: Any, tab: Any, view: View, events: AuthorityEvents) -> None:
    office = events.view
    everything, asked = office.everything, [office.key, office.claim]
    sliders = list(office.sliders.values())
    reading = {**LOOKS, "show_progress": "minimal", "show_progress_on": [office.verdict]}
    sweep = {"fn": events.sweep, "inputs": office.change, "outputs": office.curve, **CURVES}
    sent = view.to_authority.click(lambda: gr.Tabs(selected="authority"), None, tabs, queue=False, **QUIET)
    for read in (
        office.drop.upload(events.take, [office.drop, *asked], everything, **reading),
        sent.then(events.receive, [view.key, office.claim], everything, **reading),
        gr.on(
            [office.again.click, office.claim.submit, office.key.submit],
            events.read_again,
            asked,
            everything,
            **reading,
        ),
    ):
        read.then(**sweep)
    office.control.click(events.control, None, everything, **reading)
    office.change.input(**sweep, trigger_mode="always_last")
    moved, asks = [part.change for part in sliders], [office.change, *sliders]
    gr.on(moved, events.slide, asks, everything, trigger_mode="always_last", **LOOKS)
    registry = [office.registry_line, office.registry]
    office.register.click(events.register, [office.name, office.verify_only], registry, **LIGHT)
    office.look_up.click(events.look_up, office.name, registry, **LIGHT)
    office.delete.click(events.delete, office.name, registry, **LIGHT)
    tab.select(events.open, None, registry, **LIGHT)


def eraser(tabs: tuple[Any, Any], from_view: View, events: EraserEvents) -> None:
    view = events.view
    loading = {**WORK, "show_progress": "minimal", "show_progress_on": [view.verdict]}
    outputs = view.everything
    sent = from_view.to_eraser.click(
        lambda: (gr.Tabs(selected="authority"), gr.Tabs(selected="erase")), None, list(tabs), queue=False, **QUIET
    )
    asked = [view.restorer, view.words]
    sent.then(events.receive, asked, outputs, **loading)
    view.drop.upload(events.take, [view.drop, view.method, *asked], outputs, **loading)
    view.reference.upload(events.take_reference, [view.reference, *asked], outputs, **loading)
    view.mark.upload(events.take_mark, [view.mark, *asked], outputs, **loading)
    view.method.input(events.choose, [view.method, view.words], outputs, trigger_mode="always_last", **loading)
    gr.on([view.erase.click, view.words.submit], events.again, asked, outputs, **loading)
    view.other.click(events.other, asked, outputs, **loading)
    view.unmasked.click(events.unmasked, asked, outputs, **loading)


def stolen(events: StolenEvents) -> None:
    view = events.view
    loading = {**WORK, "show_progress": "minimal", "show_progress_on": [view.rows]}
    view.drop.upload(events.take, [view.drop, view.replacing], view.everything, **loading)
    view.draw.click(events.example, view.replacing, view.everything, **loading)


def panel(demo: gr.Blocks, view: View, side: PanelView, panels: PanelEvents) -> None:
    chosen = [side.attacked, side.held_out, view.method]
    # Of quick clicks none may be dropped: the last one sees all of them.
    moving = {**QUIET, "queue": False, "trigger_mode": "always_last"}
    side.attacked.input(panels.attack, chosen, side.everything, **moving)
    side.held_out.input(panels.hold_out, chosen, side.everything, **moving)
    view.method.change(panels.method, chosen, side.everything, **moving)
    side.usual.click(panels.usual, view.method, side.everything, **moving)
    side.button.click(None, None, None, js=OPEN, **QUIET)
    for again in (demo.load, side.sidebar.expand):
        again(**anew(view, side, panels))


def anew(view: View, side: PanelView, panels: PanelEvents) -> dict[str, Any]:
    """The event that reads what is on this computer now."""
    lists = [box.choice for box in panels.boxes]
    inputs = [side.attacked, side.held_out, view.method, *lists]
    return {"fn": panels.refresh, "inputs": inputs, "outputs": [*side.everything, *lists], **LIGHT}


def box(box: Box, pulls: PullEvents) -> Any:
    box.choice.input(pulls.choose, box.choice, box.everything, **LAST)
    pressed = box.download.click(pulls.begin, None, box.everything, queue=False, **QUIET)
    box.cancel.click(pulls.cancel, box.choice, box.everything, queue=False, **QUIET)
    # "multiple": Download may be pressed again before the run that Cancel has stopped is over.
    several = {"concurrency_id": "pull", "concurrency_limit": 4, "trigger_mode": "multiple"}
    return pressed.then(pulls.run, box.choice, box.everything, **several, **QUIET)
