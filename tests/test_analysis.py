"""Analysis: known answers, and agreement with the measures of the notebooks."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

import mambadfuse as mdf
from mambadfuse.analysis import branches, comparison, exchange, memory
from mambadfuse.analysis.colormap import ORANGE, coloured, common_range
from mambadfuse.data.colour import luma
from mambadfuse.fusion import baselines
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.models.scan_order import DIRECTIONS, reading_order
from mambadfuse.plotting import png

TINY = mdf.MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=2, deep_depth=2, reconstruction_depth=1
)
PAIR = torch.rand(2, 1, 1, 10, 14, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> mdf.MambaDFuse:
    torch.manual_seed(0)
    return mdf.MambaDFuse(TINY).eval()


class TestMemory:
    def test_a_pulse_fades_with_the_memory_of_its_step(self):
        t = memory.trace(np.eye(60)[5], delta=0.1, A=-1.0, at=5)
        expected = 0.1 * np.exp(-0.1 * np.arange(55))
        np.testing.assert_allclose(t.y[5:], expected, rtol=1e-6)
        np.testing.assert_allclose(t.weight[5:], expected, rtol=1e-6)
        assert not t.y[:5].any()
        np.testing.assert_allclose(t.memory, 10)
        assert t.left == 10  # exp(-0.1 * 10) = 1 / e

    def test_the_response_to_a_constant_is_about_itself(self):
        t = memory.trace(np.ones(400), delta=0.05, A=-2.0)
        assert t.y[-1] == pytest.approx(0.1 / (1 - math.exp(-0.1)))  # Mamba's rule overshoots slightly

    @settings(max_examples=25)
    @given(st.floats(0.01, 5), st.floats(-10, -0.1), st.floats(0, 20), st.integers(0, 29))
    def test_the_answer_is_the_weighted_sum_of_all_tokens(self, delta, A, selectivity, seed):
        u = np.random.default_rng(seed).normal(size=12)
        traces = [memory.trace(u, delta, A, selectivity, at) for at in range(12)]
        total = sum(t.weight * u[t.at] for t in traces)
        np.testing.assert_allclose(traces[0].y, total, rtol=1e-5, atol=1e-6)

    def test_selectivity_skips_small_tokens_and_keeps_a_mark(self):
        u = memory.SIGNALS["marks in noise"]()
        fixed, selective = (memory.trace(u, 0.1, -1.0, s, at=8) for s in (0, 10))
        assert abs(fixed.y[38]) < 0.1  # lost in the noise
        assert selective.y[38] > 1
        assert selective.delta[8] > 10 * selective.delta[9]

    def test_nothing_fades_within_a_short_signal(self):
        assert memory.trace(np.ones(5), delta=0.001, A=-1.0).left is None

    def test_a_reused_plot_shows_the_new_trace_alone(self):
        t = memory.trace(memory.SIGNALS["slow and fast wave"](), 0.2, -1.0, 3.0, at=11)
        plot = memory.MemoryPlot()
        plot.show(memory.trace(np.ones(3), 1.0, -1.0))
        plot.show(t)
        assert png(plot.figure) == png(memory.memory_figure(t))

    def test_numbers_make_a_signal(self):
        np.testing.assert_array_equal(memory.signal_of("4, 0 -2e1"), [4, 0, -20])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "found 0"),
            ("1 x", "numbers with spaces.*'x'"),
            ("1 nan", "finite"),
            ("1 " * 1001, "found 1001"),
        ],
    )
    def test_what_is_no_signal_is_named(self, text, message):
        with pytest.raises(ValueError, match=message):
            memory.signal_of(text)

    def test_arguments_out_of_range_are_named(self):
        with pytest.raises(ValueError, match="A < 0"):
            memory.trace(np.ones(4), 0.1, 1.0)
        with pytest.raises(ValueError, match="token must be 0 to 3, found 4"):
            memory.trace(np.ones(4), 0.1, -1.0, at=4)

    def test_a_row_of_a_picture_is_a_signal(self):
        picture = np.random.default_rng(0).random((4, 6, 3), dtype=np.float32)
        np.testing.assert_allclose(memory.signal_of_row(picture, 2), luma(picture)[2])
        shown = memory.marked_row(picture, 0)
        assert (shown[:2] == ORANGE).all()
        assert not (shown[2:] == ORANGE).all(axis=-1).any()
        with pytest.raises(ValueError, match="rows 0 to 3, found 4"):
            memory.signal_of_row(picture, 4)


class TestExchange:
    @pytest.mark.parametrize("residual", [True, False])
    @pytest.mark.parametrize("period", [0, 1, 2, 3])
    def test_without_an_offset_it_is_the_network_with_that_period(self, period, residual):
        torch.manual_seed(1)
        config = replace(TINY, exchange_period=period, exchange_residual=residual)
        trained = mdf.MambaDFuse(config).eval()
        with torch.inference_mode():
            torch.testing.assert_close(exchange.with_exchange(trained, period)(*PAIR), trained(*PAIR))

    @pytest.mark.parametrize(("period", "offset"), [(0, 0), (1, 0), (2, 1), (3, 1), (5, 4)])
    def test_exchanged_channels_change_sides_and_the_others_stay(self, model, period, offset):
        maps = exchange.exchange_maps(model, *PAIR, period, offset)
        assert maps.swapped.tolist() == [period > 0 and (c - offset) % period == 0 for c in range(8)]
        streams = maps.features
        for c, swapped in enumerate(maps.swapped):
            other = "b" if swapped else "a"
            np.testing.assert_array_equal(streams["a after"][c], streams[f"{other} before"][c])
        np.testing.assert_allclose(
            streams["a after"] + streams["b after"], streams["a before"] + streams["b before"], rtol=1e-6
        )

    def test_it_is_the_map_of_notebook_05(self):
        features, gradient = torch.rand(
            2, 3, 4, 5, generator=torch.Generator().manual_seed(0)
        )  # (C, H, W) each
        tokens = [x.flatten(1).T for x in (features, gradient)]  # (C, H, W) -> (L, C)
        theirs = definitions("06")["cam"](*tokens).reshape(4, 5)
        torch.testing.assert_close(exchange.cam(features, gradient), theirs)

    def test_an_exchange_keeps_the_sum_of_both_maps(self, model):
        heat = exchange.exchange_maps(model, *PAIR, 3, 1, block=1).heat
        before, after = (heat[f"a {when}"] + heat[f"b {when}"] for when in ("before", "after"))
        np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-7)

    def test_the_network_is_left_unchanged(self, model):
        before = [p.clone() for p in model.parameters()]
        exchange.exchange_maps(model, *PAIR, 3, 1, block=1)
        torch.testing.assert_close(list(model.parameters()), before)
        assert all(p.grad is None and p.requires_grad for p in model.parameters())

    def test_the_difference_is_bright_where_the_image_became_brighter(self):
        trained = np.full((2, 2), 0.5)
        fused = trained + np.array([[0.2, 0.0], [0.0, -0.1]])
        pictures = exchange.changed_pictures(fused, trained)
        *_, title = pictures
        assert title == "difference, at most 51 of 255 levels"
        grey = pictures[title].astype(int).sum(axis=-1)
        assert grey[0, 0] > grey[0, 1] == grey[1, 0] > grey[1, 1]

    def test_pictures_have_the_titles_of_the_places(self, model):
        maps = exchange.exchange_maps(model, *PAIR, 2)
        pictures = exchange.exchange_pictures(maps, 3)
        assert next(iter(pictures)) == "channel 3, a before"
        assert list(pictures)[-1] == "Grad-CAM, b after"
        assert all(p.shape == (10, 14, 3) and p.dtype == np.uint8 for p in pictures.values())
        assert exchange.channel_strip(maps.swapped, 3).shape == (18, 840, 3)

    @pytest.mark.parametrize(("period", "offset", "block"), [(-1, 0, 0), (2, 2, 0), (0, 1, 0), (2, 0, 2)])
    def test_controls_out_of_range_are_named(self, model, period, offset, block):
        with pytest.raises(
            ValueError, match=r"period and offset|period >= 0|2 exchange blocks, found block 2"
        ):
            exchange.exchange_maps(model, *PAIR, period, offset, block)


class TestBranches:
    @pytest.mark.parametrize("gate", ["own", "shared"])
    @pytest.mark.parametrize("conv", [True, False])
    def test_it_is_the_measure_of_notebook_06(self, gate, conv):
        torch.manual_seed(0)
        network = mdf.MambaDFuse(replace(TINY, gate=gate, deep_conv=conv)).eval().requires_grad_(False)
        code = definitions("07")
        _, entered, _ = code["watched"](network, *PAIR)
        blocks, fused = branches.branch_maps(network, *PAIR)
        for i, maps in enumerate(blocks):
            theirs = code["shares"](code["contributions"](code["by_hand"](network, i), *entered[i]))
            for k in "fab":
                np.testing.assert_allclose(maps.shares[k], theirs[k], rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(maps.winner(), code["winner_map"](theirs))
            assert set(maps.gates) == (set("fab") if gate == "own" else {"f"})
        np.testing.assert_array_equal(fused, network(*PAIR)[0, 0].clamp(0, 1).numpy())

    def test_hooks_are_gone_even_after_an_error(self, model):
        with pytest.raises(ValueError, match="must both have shape"):
            branches.branch_maps(model, PAIR[0], PAIR[1][..., :5])
        assert not any(m._forward_hooks for m in model.modules())

    def test_tiles_change_nothing(self, model, monkeypatch):
        whole, _ = branches.branch_maps(model, *PAIR)
        monkeypatch.setattr("mambadfuse.models.execution.TILE", 33)
        tiled, _ = branches.branch_maps(model, *PAIR)
        np.testing.assert_allclose(tiled[1].shares["a"], whole[1].shares["a"], rtol=1e-4)
        np.testing.assert_allclose(tiled[1].gates["b"], whole[1].gates["b"], rtol=1e-4)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_shares_stand_where_the_scan_read(self, direction, monkeypatch):
        depths = {"extraction_depth": 0, "exchange_depth": 0, "deep_depth": 1, "reconstruction_depth": 0}
        network = mdf.MambaDFuse(mdf.MambaDFuseConfig(dim=8, deep_conv=False, **depths))
        block = network.deep.blocks[0]
        block.direction = direction
        block.ssm_a.register_forward_hook(lambda m, i, y: y * (torch.arange(y.shape[1]) == 0)[:, None])
        monkeypatch.setattr("mambadfuse.models.execution.TILE", 35)
        (maps,), _ = branches.branch_maps(network, *PAIR)
        first_of_each_tile = reading_order(direction, 140, height=10)[::35]
        assert set(maps.shares["a"].ravel().nonzero()[0]) == set(first_of_each_tile.tolist())

    def test_a_shared_gate_keeps_all_weights_but_the_gates(self, model):
        twin = branches.with_gate(model, "shared")
        own, shared = (network.deep.blocks[0].in_proj_a.weight for network in (model, twin))
        torch.testing.assert_close(shared, own[: len(own) // 2])
        assert branches.with_gate(model, "own") is model
        with pytest.raises(ValueError, match="no weights for 'own'"):
            branches.with_gate(twin, "own")

    def test_a_silent_branch_has_no_share(self, model):
        twin = branches.with_gate(model, "own")
        hook = twin.deep.blocks[0].ssm_a.register_forward_hook(lambda m, i, y: torch.zeros_like(y))
        blocks, _ = branches.branch_maps(twin, *PAIR)
        hook.remove()
        assert not blocks[0].shares["a"].any()
        np.testing.assert_allclose(sum(blocks[0].shares.values()), 1, rtol=1e-5)

    def test_effects_are_those_of_notebook_07(self, model):
        effects = branches.branch_effects(model, *PAIR)
        with torch.inference_mode():
            whole = model(*PAIR)
        hooks = [
            block.ssm_b.register_forward_hook(lambda m, i, y: torch.zeros_like(y))
            for block in model.deep.blocks
        ]
        with torch.inference_mode():
            silenced = model(*PAIR)
        for hook in hooks:
            hook.remove()
        expected = 255 * (postprocess(whole, model.contrast) - postprocess(silenced, model.contrast)).abs()
        np.testing.assert_allclose(effects["b"], expected[0, 0].numpy(), atol=1e-3)
        assert effects.keys() == set("fab")
        assert all(effect.shape == (10, 14) and effect.max() > 0 for effect in effects.values())
        with torch.inference_mode():
            torch.testing.assert_close(model(*PAIR), whole)

    def test_what_enters_deep_fusion_is_the_same_for_every_gate(self, model):
        twin, entering = branches.with_gate(model, "shared"), branches.deep_inputs(model, *PAIR)
        blocks, fused = branches.maps_from(twin, entering)
        expected, whole = branches.branch_maps(twin, *PAIR)
        np.testing.assert_array_equal(fused, whole)
        np.testing.assert_array_equal(blocks[1].shares["a"], expected[1].shares["a"])
        effects, all_over = branches.effects_from(twin, entering, fused), branches.branch_effects(twin, *PAIR)
        for k in "fab":
            np.testing.assert_allclose(effects[k], all_over[k], atol=1e-3)

    def test_a_branch_that_is_not_read_has_no_effect(self, model):
        twin = copy.deepcopy(model)
        for block in twin.deep.blocks:
            torch.nn.init.zeros_(block.out_proj.weight)
        for effect in branches.branch_effects(twin, *PAIR).values():
            assert not effect.any()
        titles = list(branches.effect_pictures(branches.branch_effects(twin, *PAIR)))
        assert titles == [f"effect of {name}, mean 0.00" for name in ("fused", "a", "b")]


class TestComparison:
    colour = np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)
    grey = np.random.default_rng(1).random((48, 64), dtype=np.float32)
    pair = comparison.NamedPair("noise", grey, colour)

    def test_candidates_are_what_the_kit_computes_elsewhere(self, model):
        found = comparison.candidates(self.pair, model, "b")
        assert tuple(found) == comparison.CANDIDATES
        np.testing.assert_array_equal(found["network"], mdf.fuse(self.grey, self.colour, model, colour="b"))
        grey = comparison.candidates(self.pair, model, "grey")["maximum"]
        luma = mdf.data.colour.luma(self.colour)
        np.testing.assert_array_equal(grey, np.rint(255 * baselines.maximum(self.grey, luma)))

    def test_one_candidate_is_that_of_all(self, model):
        found = comparison.candidates(self.pair, model, "b")
        for name in comparison.CANDIDATES:
            network = model if name == "network" else None
            np.testing.assert_array_equal(
                comparison.candidate(self.pair, name, network, "b"), found[name], err_msg=name
            )
        with pytest.raises(ValueError, match="'network' needs a network"):
            comparison.candidate(self.pair, "network")
        with pytest.raises(ValueError, match="unknown candidate 'median': choose one of a, b, network, mean"):
            comparison.candidate(self.pair, "median")

    def test_a_pair_that_looks_unregistered_is_remarked_on_once(self, model, caplog):
        x, y = np.mgrid[:96, :96] / 96
        scene = (np.sin(40 * x) * np.sin(30 * y) * np.sin(50 * x * y) / 2 + 0.5).astype(np.float32)
        comparison.candidates(comparison.NamedPair("moved", scene, np.roll(scene, 7, axis=1)), model)
        assert len([record for record in caplog.records if "registered" in record.getMessage()]) == 1

    def test_a_memoised_pair_is_not_fused_again(self, model):
        calls = []
        hook = model.register_forward_hook(lambda *_: calls.append(1))
        memoised = comparison.Memoised(model, last=1)
        first = comparison.candidates(self.pair, memoised, "grey")["network"]
        comparison.candidates(self.pair, memoised, "b")
        assert len(calls) == 1
        comparison.candidates(self.pair.shrunk(32), memoised)
        again = comparison.candidates(self.pair, memoised, "grey")["network"]  # was evicted meanwhile
        hook.remove()
        assert len(calls) == 3
        np.testing.assert_array_equal(first, again)

    def test_a_memoised_network_has_the_contrast_of_its_weights(self, model):
        """What a panel shows and saves is what ``mambadfuse fuse`` writes."""
        try:
            model.contrast = 1.3
            shown = comparison.candidate(self.pair, "network", comparison.Memoised(model), "grey")
            np.testing.assert_array_equal(shown, mdf.fuse(self.pair.a, self.pair.b, model, colour="grey"))
            model.contrast = 1.0
            assert (mdf.fuse(self.pair.a, self.pair.b, model, colour="grey") != shown).any()
        finally:
            model.contrast = 1.0

    def test_scores_and_who_is_best(self, model):
        table = comparison.scores(comparison.candidates(self.pair, model, "grey"))
        assert set(table) == set(comparison.FUSIONS)
        assert table["mean"]["EN"] == pytest.approx(
            mdf.evaluate(comparison.candidates(self.pair, model, "grey")["mean"], self.grey, self.colour)[
                "EN"
            ],
            abs=0.02,
        )
        assert comparison.best({"x": {"SF": 1.0}, "y": {"SF": 2.0}}, "SF") == "y"
        assert comparison.best({"x": {"MSE": 1.0}, "y": {"MSE": 2.0}}, "MSE") == "x"

    @given(st.floats(0, 1))
    def test_swipe_takes_every_column_from_one_side(self, share):
        left, right = np.full((3, 20), 50, np.uint8), np.full((3, 20, 3), 200, np.uint8)
        row = comparison.swipe(left, right, share)[1, :, 0]
        column = round(20 * share)
        assert (row[: max(0, column - 1)] == 50).all()
        assert (row[column + 1 :] == 200).all()
        assert left.max() == 50

    @given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 8))
    def test_a_detail_lies_inside_and_is_enlarged(self, x, y, zoom):
        picture = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
        window = comparison.Window(x, y, zoom)
        rows, columns = window.slices(30, 40)
        assert 0 <= rows.start < rows.stop <= 30
        assert 0 <= columns.start < columns.stop <= 40
        detail = window.detail(picture)
        np.testing.assert_array_equal(detail[::zoom, ::zoom], picture[rows, columns])
        assert window.framed(picture.astype(np.uint8)).shape == (30, 40, 3)

    def test_shrinking_averages_and_keeps_the_aspect(self):
        small = self.pair.shrunk(16)
        assert small.a.shape == (12, 16)
        assert small.b.shape == (12, 16, 3)
        np.testing.assert_allclose(small.a[0, 0], self.grey[:4, :4].mean(), rtol=1e-5)
        assert self.pair.shrunk(64) is self.pair

    def test_pictures_of_two_sizes_are_no_pair(self):
        with pytest.raises(ValueError, match="found 64x48 and 48x64"):
            comparison.NamedPair("odd", self.grey, self.grey.T)


def test_a_map_is_dark_at_the_low_end_and_bright_at_the_high_one():
    row = coloured([[-1, 0, 0.5, 1, 2]], 0, 1)[0].astype(int).sum(-1)
    assert row[0] == row[1] < row[2] < row[3] == row[4]
    assert common_range([np.zeros((4, 4)), np.ones((4, 4))]) == (0, 1)
    assert (
        coloured(np.ones((2, 2)), 1, 1) == coloured(np.zeros((2, 2)), 0, 1)
    ).all()  # a scale without length
