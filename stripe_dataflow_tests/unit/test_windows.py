from stripe_dataflow.stripe_api import Window, Windows, split, union


def test_adjacent_windows_become_one_and_a_gap_stays():
    assert union([Window(10, 20), Window(0, 10), Window(30, 40)]) == [Window(0, 20), Window(30, 40)]


def test_a_window_is_cut_at_the_borders_inside_it():
    assert split(Window(5, 25), [0, 10, 20, 30]) == [Window(5, 10), Window(10, 20), Window(20, 25)]


def test_the_newest_window_is_read_first():
    windows = Windows([Window(0, 10), Window(20, 30)])
    span = windows.claim()
    assert span is not None
    assert (span.gte, span.below) == (20, 30)


def test_nothing_is_stolen_before_the_density_is_known():
    windows = Windows([Window(0, 1000)])
    windows.claim()
    assert windows.claim() is None


def test_an_idle_worker_takes_the_older_half_and_the_owner_keeps_the_newer():
    windows = Windows([Window(0, 1000)])
    owner = windows.claim()
    assert owner is not None
    windows.advance(owner, to=799, rows=100)  # 100 objects in 200 seconds: 400 more to expect
    thief = windows.claim()
    assert thief is not None
    assert (thief.gte, thief.below) == (0, 400)
    assert (owner.gte, owner.below) == (400, 800)


def test_too_little_left_for_two_pages_is_not_split():
    windows = Windows([Window(0, 1000)])
    owner = windows.claim()
    assert owner is not None
    windows.advance(owner, to=499, rows=100)  # about 100 objects are left
    assert windows.claim() is None


def test_one_second_is_never_split():
    windows = Windows([Window(0, 1)])
    owner = windows.claim()
    assert owner is not None
    windows.advance(owner, to=0, rows=100_000)
    assert windows.claim() is None


def test_what_remains_shrinks_as_pages_come_and_is_nothing_at_the_end():
    windows = Windows([Window(0, 100), Window(200, 300)])
    newest = windows.claim()
    assert newest is not None
    windows.advance(newest, to=250, rows=100)
    assert windows.remaining() == [Window(0, 100), Window(200, 251)]
    windows.finish(newest)
    assert windows.remaining() == [Window(0, 100)]
    oldest = windows.claim()
    assert oldest is not None
    windows.finish(oldest)
    assert windows.done
    assert windows.remaining() == []
    assert windows.fraction == 1.0


def test_a_page_can_end_within_a_second_which_then_stays_to_be_read():
    windows = Windows([Window(0, 100)])
    span = windows.claim()
    assert span is not None
    windows.advance(span, to=50, rows=100)
    assert windows.remaining() == [Window(0, 51)]
