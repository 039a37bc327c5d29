"""Assembles the demo: title, tabs, events, API."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from app.demo import about, api, authority, models, panel, protect, pull
from app.demo.authority_events import AuthorityEvents
from app.demo.controls import Controls
from app.demo.example import Example
from app.demo.panel_events import PanelEvents
from app.demo.photo_events import PhotoEvents
from app.demo.protect_events import RunEvents
from app.demo.session import Desk
from app.demo.setting_events import SettingEvents
from app.demo.theme import CSS, theme
from app.runtime import Runtime

TITLE = (
    '<div class="lv-title"><h1>Larvatus</h1><p>Change a photo so slightly that people still see you, '
    "and see whether face recognition still does.</p></div>"
)
RESIZE = "() => { for (const wait of [50, 400]) setTimeout(() => window.dispatchEvent(new Event('resize')), wait) }"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LIGHT = {**QUIET, "concurrency_limit": 4, "concurrency_id": "light"}


def build(runtime: Runtime) -> gr.Blocks:
    """The whole demo on one runtime. LARVATUS_EXAMPLE=0 leaves the first screen's example out."""
    desk = Desk(_folder())
    example = Example(runtime) if os.environ.get("LARVATUS_EXAMPLE", "1") != "0" else None
    controls = Controls()
    with gr.Blocks(title="Larvatus", analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as demo:
        with gr.Row(elem_id="lv-top"):
            gr.HTML(TITLE, padding=False)
            opener = panel.button(runtime)
        with gr.Tabs() as tabs:
            with gr.Tab("Protect", id="protect"):
                view = protect.draw(controls)
            with gr.Tab("Authority", id="authority") as authority_tab:
                office = authority.draw()
            with gr.Tab("Models") as models_tab:
                shelf = models.draw(runtime)
            with gr.Tab("About & privacy"):
                about.draw()
        api.add(runtime, desk)
        width = gr.Number(visible="hidden", elem_id="lv-width")
        side = panel.draw(runtime, opener)
        panels = PanelEvents(runtime, side, [side.box, shelf.box])
        run = RunEvents(runtime, view, side, controls, desk, example)
        _wire_run(demo, view, run, controls, width)
        _wire_photos(view, PhotoEvents(runtime, view, panels, controls, desk), controls)
        _wire_settings(view, SettingEvents(view, controls, desk), controls)
        _wire_panel(demo, view, side, panels)
        _wire_authority(tabs, authority_tab, view, AuthorityEvents(runtime, office, desk))
        reading = {"fn": lambda: models.read(runtime, shelf), "outputs": shelf.everything, **LIGHT}
        models_tab.select(**reading)
        for box in panels.boxes:
            _wire_box(box, pull.PullEvents(runtime, box, desk)).then(**_anew(view, side, panels)).then(**reading)
    demo.queue(max_size=40)
    if example is not None:
        example.start()
    return demo


def launch_options() -> dict[str, Any]:
    """What launch() needs beside the address. Gradio's record of runs in the browser is off."""
    return {
        "theme": theme(),
        "css_paths": [CSS],
        "max_file_size": "25mb",
        "share": False,
        "allowed_paths": [],
        "footer_links": ["api"],
        "run_history": False,
        "quiet": True,
        "show_error": False,
    }


def _folder() -> Path:
    """One temporary folder for this process, gone when it ends; Gradio's own files lie there too."""
    path = os.environ.get("GRADIO_TEMP_DIR")
    if not path:
        path = tempfile.mkdtemp(prefix="larvatus-")
        os.environ["GRADIO_TEMP_DIR"] = path
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def _wire_run(demo: gr.Blocks, view: protect.View, run: RunEvents, controls: Controls, width: Any) -> None:
    everything = [*view.everything, *controls.components]
    inputs = {view.method, view.targets, view.seed, view.far, view.format, view.quality, *controls.components}
    inputs |= {run.panel.attacked, run.panel.held_out, view.identity, view.key}
    pressed = view.protect.click(run.begin, None, everything, queue=False, **QUIET)
    work = pressed.then(
        run.run,
        inputs,
        everything,
        concurrency_id="heavy",
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=[view.status],
        api_visibility="private",
    )
    view.cancel.click(run.cancel, None, everything, cancels=[work], queue=False, **QUIET)
    demo.load(run.open, width, everything, js="() => [window.innerWidth]", **LIGHT)
    view.timer.tick(run.welcome, None, everything, **LIGHT)
    demo.unload(run.leave)
    # A figure drawn inside a closed fold has a made-up width: let it measure again.
    view.curves_fold.expand(None, None, None, js=RESIZE, **QUIET)


def _wire_photos(view: protect.View, photos: PhotoEvents, controls: Controls) -> None:
    everything = [*view.everything, *controls.components]
    loading = {**LIGHT, "show_progress": "minimal"}
    panel = photos.panel.view
    view.drop.upload(
        photos.take_photo,
        [view.drop, panel.held_out],
        [*everything, *panel.everything],
        show_progress_on=[view.photo],
        **loading,
    )
    view.photo.select(photos.click, None, everything, **LIGHT)
    view.box.click(photos.draw_box, None, everything, **LIGHT)
    view.extra.upload(photos.take_targets, view.extra, everything, show_progress_on=[view.extra_line], **loading)
    view.extra_clear.click(photos.drop_targets, None, everything, **LIGHT)
    view.reference.upload(
        photos.take_reference, view.reference, everything, show_progress_on=[view.reference_line], **loading
    )
    view.reference_clear.click(photos.drop_reference, None, everything, **LIGHT)


def _wire_settings(view: protect.View, settings: SettingEvents, controls: Controls) -> None:
    folds = [view.target_fold, view.identity_fold]
    knobs = [view.method, view.summary, view.preset, *folds, *controls.components]
    view.method.input(settings.choose_method, view.method, knobs, **LIGHT)
    view.reset.click(settings.choose_method, view.method, knobs, **LIGHT)
    view.preset.input(settings.choose_preset, [view.method, view.preset], knobs, **LIGHT)
    naming = {"fn": settings.name_identity, "inputs": [view.identity, view.key], "outputs": view.identity_line}
    gr.on([view.identity.change, view.key.change, view.identity_fold.expand], **naming, **LIGHT)
    view.format.input(settings.choose_format, view.format, view.quality, **LIGHT)
    view.view.input(settings.choose_view, view.view, view.slider, **LIGHT)
    # A knob moved by hand is no preset any more; said in the browser, without a round trip.
    gr.on([part.input for part in controls.components], None, None, view.preset, js="() => null", **QUIET)


def _wire_authority(tabs: Any, tab: Any, view: protect.View, events: AuthorityEvents) -> None:
    office = events.view
    everything, asked = office.everything, [office.key, office.claim]
    sliders = list(office.sliders.values())
    reading = {**LIGHT, "show_progress": "minimal", "show_progress_on": [office.verdict]}
    sweep = {"fn": events.sweep, "inputs": office.change, "outputs": office.curve, **LIGHT}
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
    office.change.input(**sweep)
    # Of quick moves of a slider the last one counts.
    moved = [part.change for part in sliders]
    gr.on(moved, events.slide, [office.change, *sliders], everything, trigger_mode="always_last", **LIGHT)
    registry = [office.registry_line, office.registry]
    office.register.click(events.register, [office.name, office.verify_only], registry, **LIGHT)
    office.look_up.click(events.look_up, office.name, registry, **LIGHT)
    office.delete.click(events.delete, office.name, registry, **LIGHT)
    tab.select(events.open, None, registry, **LIGHT)


def _wire_panel(demo: gr.Blocks, view: protect.View, side: panel.PanelView, panels: PanelEvents) -> None:
    chosen = [side.attacked, side.held_out, view.method]
    # Of quick clicks none may be dropped: the last one sees all of them.
    moving = {**QUIET, "queue": False, "trigger_mode": "always_last"}
    side.attacked.input(panels.attack, chosen, side.everything, **moving)
    side.held_out.input(panels.hold_out, chosen, side.everything, **moving)
    view.method.change(panels.method, chosen, side.everything, **moving)
    side.usual.click(panels.usual, view.method, side.everything, **moving)
    side.button.click(None, None, None, js=panel.OPEN, **QUIET)
    for again in (demo.load, side.sidebar.expand):
        again(**_anew(view, side, panels))


def _anew(view: protect.View, side: panel.PanelView, panels: PanelEvents) -> dict[str, Any]:
    """The event that reads what is on this computer now."""
    lists = [box.choice for box in panels.boxes]
    inputs = [side.attacked, side.held_out, view.method, *lists]
    return {"fn": panels.refresh, "inputs": inputs, "outputs": [*side.everything, *lists], **LIGHT}


def _wire_box(box: pull.Box, pulls: pull.PullEvents) -> Any:
    box.choice.input(pulls.choose, box.choice, box.everything, **LIGHT)
    pressed = box.download.click(pulls.begin, None, box.everything, queue=False, **QUIET)
    box.cancel.click(pulls.cancel, box.choice, box.everything, queue=False, **QUIET)
    # "multiple": Download may be pressed again before the run that Cancel has stopped is over.
    several = {"concurrency_id": "pull", "concurrency_limit": 4, "trigger_mode": "multiple"}
    return pressed.then(pulls.run, box.choice, box.everything, **several, **QUIET)
