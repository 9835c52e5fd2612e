"""What nobody waits for lets devices go first, and is never held up for good."""

from threading import Thread

from listener.courtesy import Courtesy


def test_work_in_the_background_waits_until_a_device_is_answered():
    courtesy, order = Courtesy(), []
    give_way = courtesy.patience(60.0)

    def work():
        give_way()
        order.append("work")

    thread = Thread(target=work)
    with courtesy.serving():
        with courtesy.serving():
            thread.start()
            while not courtesy._free._waiters:
                thread.join(0.01)
            order.append("first answer")
        order.append("second answer")
    thread.join()

    assert order == ["first answer", "second answer", "work"]


def test_a_slow_device_holds_it_up_for_so_long_and_no_longer():
    courtesy = Courtesy()
    give_way = courtesy.patience(0.01)
    with courtesy.serving():
        give_way()  # returns, or the test hangs
        give_way()


def test_a_failed_answer_holds_up_nothing():
    courtesy = Courtesy()
    try:
        with courtesy.serving():
            raise ValueError
    except ValueError:
        courtesy.patience(60.0)()
