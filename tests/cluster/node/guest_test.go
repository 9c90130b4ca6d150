package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"
)

// bench is one guest under a fake clock, with its launcher and its events.
type bench struct {
	t        *testing.T
	clock    *testclock.FakeClock
	guest    *Guest
	launcher *Launcher
	disks    []JournalDisk

	mu     sync.Mutex
	events []string
}

// newBench boots a guest with two disks; the annotations are given without their prefix. The agent is connected
// when it returns, unless the knobs say otherwise.
func newBench(t *testing.T, annotations map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, clock: testclock.NewFakeClock(time.Unix(1e9, 0)), disks: newDisks(t, 2)}
	b.guest = newGuest(b.clock, b.disks, b.knobs(annotations), 0, b.event, nil)
	b.launcher = newLauncher(b.guest, b.clock, b.event, nil)
	must(t, b.guest.Boot(false))
	t.Cleanup(func() { b.guest.PowerOff("destroyed") })
	if annotations["agent"] != "none" {
		b.until("the agent connects", func() bool { return b.guest.State().Agent })
	}
	return b
}

func (b *bench) knobs(annotations map[string]string) Knobs {
	b.t.Helper()
	all := map[string]string{knobPrefix + "agent-delay": "0s"}
	for k, v := range annotations {
		all[knobPrefix+k] = v
	}
	k, err := parseKnobs(all)
	must(b.t, err)
	return k
}

func (b *bench) event(event string, _ Fields) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event)
}

func (b *bench) count(event string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range b.events {
		if e == event {
			n++
		}
	}
	return n
}

// until waits for another goroutine to get somewhere; it fails the test when that does not happen.
func (b *bench) until(what string, cond func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s (events %v)", what, b.events)
		}
	}
}

func (b *bench) untilEvent(event string, n int) {
	b.t.Helper()
	b.until(event, func() bool { return b.count(event) >= n })
}

func (b *bench) wantFrozen(want bool) {
	b.t.Helper()
	frozen, err := b.guest.AgentStatus()
	must(b.t, err)
	if frozen != want {
		b.t.Fatalf("frozen %v, want %v", frozen, want)
	}
}

func (b *bench) wantNoTimer() {
	b.t.Helper()
	if b.clock.HasWaiters() {
		b.t.Fatal("a timer is still running")
	}
}

// wantWrites says whether the workload gets anything onto the disks.
func (b *bench) wantWrites(want bool) {
	b.t.Helper()
	before := b.guest.journal.Last()
	b.guest.Tick()
	if wrote := b.guest.journal.Last() != before; wrote != want {
		b.t.Fatalf("wrote %v, want %v", wrote, want)
	}
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Fatalf("error %v, want %q", err, part)
	}
}

func TestFreezeHoldsWritesUntilThaw(t *testing.T) {
	b := newBench(t, nil)
	b.wantWrites(true)
	must(t, b.launcher.Freeze(0, "test"))
	b.wantNoTimer() // seconds 0: no safety thaw
	b.wantWrites(false)
	wantVerdict(t, CheckDisks(copyAll(t, b.disks)), verdictClean)
	must(t, b.launcher.Unfreeze("test"))
	b.wantWrites(true)
	wantVerdict(t, CheckDisks(copyAll(t, b.disks)), verdictCrash)
	must(t, b.launcher.Unfreeze("test"))
	if b.count("thawed") != 1 || b.count("thaw-again") != 1 {
		t.Fatalf("events %v", b.events)
	}
}

func TestRefreezeDoesNotRearmTheTimer(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.launcher.Freeze(10, "test"))
	b.clock.Step(6 * time.Second)
	must(t, b.launcher.Freeze(60, "test"))
	if b.count("freeze-again") != 1 {
		t.Fatalf("events %v", b.events)
	}
	b.wantFrozen(true)
	b.clock.Step(4 * time.Second)
	b.untilEvent("thawed", 1)
	b.wantFrozen(false)
	b.wantNoTimer()
}

func TestRefusedThawHasAlreadyCancelledTheTimer(t *testing.T) {
	b := newBench(t, map[string]string{"thaw": "fail:1"})
	must(t, b.launcher.Freeze(10, "test"))
	wantError(t, b.launcher.Unfreeze("test"), "guest-fsfreeze-thaw")
	b.wantNoTimer()
	b.clock.Step(time.Minute)
	b.wantFrozen(true)
	must(t, b.launcher.Unfreeze("test"))
	b.wantFrozen(false)
}

func TestTimerFiresOnceAndIgnoresItsError(t *testing.T) {
	b := newBench(t, map[string]string{"thaw": "fail:1"})
	must(t, b.launcher.Freeze(5, "test"))
	b.clock.Step(5 * time.Second)
	b.untilEvent("thaw-failed", 1)
	b.wantNoTimer()
	b.wantFrozen(true)
}

func TestThawedByHandTheOldTimerEndsWithTheNextFreeze(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.launcher.Freeze(10, "test"))
	if _, err := b.guest.AgentCommand([]byte(`{"execute":"guest-fsfreeze-thaw"}`)); err != nil {
		t.Fatal(err) // past virt-launcher: its timer runs on
	}
	b.clock.Step(8 * time.Second)
	must(t, b.launcher.Freeze(10, "test"))
	b.clock.Step(8 * time.Second)
	b.wantFrozen(true)
	b.clock.Step(2 * time.Second)
	b.untilEvent("safety-timer", 1)
	b.untilEvent("thawed", 2)
}

func TestPausedGuestWritesAndAnswersNothing(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.launcher.Freeze(5, "test"))
	if !b.guest.Pause() || b.guest.Pause() {
		t.Fatal("pause")
	}
	wantError(t, b.launcher.Unfreeze("test"), "domain is not running")
	if !b.guest.Unpause() {
		t.Fatal("unpause")
	}
	b.wantFrozen(true)
	must(t, b.launcher.Unfreeze("test"))

	must(t, b.launcher.Freeze(5, "test"))
	b.guest.Pause()
	b.clock.Step(5 * time.Second)
	b.untilEvent("thaw-failed", 2) // the safety timer's thaw is refused as well
	b.guest.Unpause()
	b.wantFrozen(true)
	b.wantNoTimer()
	must(t, b.launcher.Unfreeze("test"))

	b.wantWrites(true)
	b.guest.Pause()
	b.wantWrites(false)
	wantError(t, b.launcher.Freeze(5, "test"), "domain is not running")
	first := copyDisk(t, b.disks[0].Path)
	b.guest.Tick()
	wantVerdict(t, CheckDisks([]string{first, copyDisk(t, b.disks[1].Path)}), verdictCrash)
}

func TestSlowFreezeHappensLate(t *testing.T) {
	b := newBench(t, map[string]string{"freeze": "slow:14s"})
	done := make(chan error, 1)
	go func() { done <- b.launcher.Freeze(8, "test") }()
	b.until("the freeze waits", b.clock.HasWaiters)
	b.clock.Step(13 * time.Second)
	b.wantWrites(true)
	b.clock.Step(time.Second)
	must(t, <-done)
	b.wantWrites(false)
	b.clock.Step(8 * time.Second) // the timer starts when the freeze is there
	b.untilEvent("thawed", 1)
}

func TestFreezeThatMeetsAPauseWaitsForTheGuest(t *testing.T) {
	b := newBench(t, map[string]string{"freeze": "slow:2s"})
	done := make(chan error, 1)
	go func() { done <- b.launcher.Freeze(0, "test") }()
	b.until("the freeze waits", b.clock.HasWaiters)
	b.guest.Pause()
	b.clock.Step(2 * time.Second)
	if b.count("frozen") != 0 {
		t.Fatal("a paused guest froze")
	}
	b.guest.Unpause()
	must(t, <-done)
	b.wantFrozen(true)
}

func TestHangingFreezeKeepsTheAgentBusy(t *testing.T) {
	b := newBench(t, map[string]string{"freeze": "hang"})
	done := make(chan error, 1)
	go func() { done <- b.launcher.Freeze(5, "test") }()
	b.until("the agent is busy", func() bool { return len(b.guest.agentJob) == 1 && b.count("freeze-request") == 1 })
	status := make(chan error, 1)
	go func() { _, err := b.guest.AgentStatus(); status <- err }()
	b.until("the status waits", b.clock.HasWaiters)
	b.clock.Step(agentJobWait)
	wantError(t, <-status, "cannot acquire state change lock")
	b.wantWrites(true)
	b.guest.SetKnobs(b.knobs(nil))
	wantError(t, <-done, "guest-fsfreeze-freeze")
	b.wantFrozen(false)
}

func TestGuestThatEndsFailsTheCommandInFlight(t *testing.T) {
	b := newBench(t, map[string]string{"freeze": "hang"})
	done := make(chan error, 1)
	go func() { done <- b.launcher.Freeze(5, "test") }()
	b.untilEvent("freeze-request", 1)
	b.until("the agent is busy", func() bool { return len(b.guest.agentJob) == 1 })
	b.guest.PowerOff("destroyed")
	if err := <-done; err == nil {
		t.Fatal("no error")
	}
	wantVerdict(t, CheckDisks(copyAll(t, b.disks)), verdictCrash)
}

func TestWindowsLetsGoAfterTenSeconds(t *testing.T) {
	b := newBench(t, map[string]string{"os": "windows"})
	must(t, b.launcher.Freeze(60, "test"))
	b.clock.Step(9 * time.Second)
	b.wantWrites(false)
	b.clock.Step(time.Second)
	b.untilEvent("writes-resumed", 1)
	b.wantWrites(true)
	b.wantFrozen(true) // the agent does not know
	wantError(t, b.launcher.Unfreeze("test"), "fsfreeze is limited up to 10 seconds")
	b.wantFrozen(false)
	must(t, b.launcher.Unfreeze("test")) // the error is told once

	must(t, b.launcher.Freeze(60, "test"))
	b.clock.Step(9 * time.Second)
	must(t, b.launcher.Unfreeze("test"))
}

func TestWindowsLimitCountsTheGuestsTime(t *testing.T) {
	b := newBench(t, map[string]string{"os": "windows"})
	must(t, b.launcher.Freeze(600, "test"))
	b.clock.Step(4 * time.Second)
	b.guest.Pause()
	b.clock.Step(time.Minute)
	b.guest.Unpause()
	b.clock.Step(5 * time.Second)
	b.wantWrites(false)
	b.clock.Step(time.Second)
	b.untilEvent("writes-resumed", 1)
}

func TestStatusIsPolledEveryFiveSeconds(t *testing.T) {
	b := newBench(t, nil)
	go b.launcher.PollLoop()
	says := func(want string) func() bool {
		return func() bool { return b.launcher.Cache().FSFreeze == want && b.clock.HasWaiters() }
	}
	b.until("the first poll", says("thawed"))
	must(t, b.launcher.Freeze(0, "test"))
	b.clock.Step(4 * time.Second)
	if b.launcher.Cache().FSFreeze != "thawed" {
		t.Fatal("the status came before its poll")
	}
	b.clock.Step(time.Second)
	b.until("frozen is seen", says("frozen"))
	b.guest.Pause()
	b.guest.Unpause() // polls at once
	must(t, b.launcher.Unfreeze("test"))
	b.until("thawed is seen", func() bool {
		b.clock.Step(time.Second)
		return b.launcher.Cache().FSFreeze == "thawed"
	})
}

func TestAgentKnobs(t *testing.T) {
	b := newBench(t, map[string]string{"agent": "none"})
	wantError(t, b.launcher.Freeze(5, "test"), "QEMU guest agent is not connected")
	b.guest.SetKnobs(b.knobs(map[string]string{"freeze-blocked": "true"}))
	b.until("the agent connects", func() bool { return b.guest.State().Agent })
	wantError(t, b.launcher.Freeze(5, "test"), "has been disabled")
	b.guest.SetKnobs(b.knobs(map[string]string{"freeze": "fail:1"}))
	wantError(t, b.launcher.Freeze(5, "test"), "failed to freeze")
	must(t, b.launcher.Freeze(5, "test"))
	if _, err := b.guest.AgentCommand([]byte(`{"execute":"guest-exec","arguments":{"path":"/bin/true"}}`)); err == nil {
		t.Fatal("a frozen guest ran a command")
	}
}

func TestProgramsOfAGuest(t *testing.T) {
	b := newBench(t, nil)
	b.until("the agent connects", func() bool { return b.guest.State().Agent })
	ask := func(command string) (map[string]any, error) {
		answer, err := b.guest.AgentCommand([]byte(command))
		m, _ := answer.(map[string]any)
		return m, err
	}
	start := func(arguments string) int64 {
		answer, err := ask(`{"execute":"guest-exec","arguments":` + arguments + `}`)
		must(t, err)
		return answer["pid"].(int64)
	}
	status := func(pid int64) map[string]any {
		answer, err := ask(fmt.Sprintf(`{"execute":"guest-exec-status","arguments":{"pid":%d}}`, pid))
		must(t, err)
		return answer
	}
	code := func(arguments string) any { return status(start(arguments))["exitcode"] }
	held := start(`{"path":"/bin/lock","arg":["tables","2s"]}`)
	if status(held)["exited"] != false || code(`{"path":"locked","arg":["tables"]}`) != 1 {
		t.Fatal("a lock that is not taken yet is held, or its process ended")
	}
	b.clock.Step(2 * time.Second)
	if code(`{"path":"locked","arg":["tables"]}`) != 0 {
		t.Fatal("the lock is not held")
	}
	if code(`{"path":"unlock","arg":["tables"]}`) != 0 || code(`{"path":"locked","arg":["tables"]}`) != 1 || status(held)["signal"] != 15 {
		t.Fatal("the lock was not let go")
	}
	echo := status(start(`{"path":"printenv","arg":["A"],"env":["A=b"],"capture-output":true}`))
	if echo["exitcode"] != 0 || echo["out-data"] != "Ygo=" {
		t.Fatalf("printenv: %v", echo)
	}
	b.guest.SetKnobs(b.knobs(map[string]string{"guest-exec": "blocked"}))
	_, err := ask(`{"execute":"guest-exec","arguments":{"path":"true"}}`)
	wantError(t, err, "has been disabled: the command is not allowed")
}

func TestResetLosesTheFreeze(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.launcher.Freeze(5, "test"))
	must(t, b.guest.Reset())
	b.until("the agent is back", func() bool { return b.guest.State().Agent })
	b.wantFrozen(false)
	b.wantWrites(true)
	b.clock.Step(5 * time.Second)
	b.untilEvent("thaw-again", 1)
}

func TestShutdownLeavesCleanDisksPowerLossDoesNot(t *testing.T) {
	b := newBench(t, map[string]string{"shutdown": "slow:3s"})
	b.wantWrites(true)
	b.guest.RequestShutdown()
	b.until("the shutdown waits", b.clock.HasWaiters)
	b.clock.Step(3 * time.Second)
	b.untilEvent("stopped", 1)
	v := CheckDisks(copyAll(t, b.disks))
	wantVerdict(t, v, verdictClean)
	if !strings.HasSuffix(v.Mark[0], " shutdown") || b.guest.State().Ended != "shutdown" {
		t.Fatalf("%+v", v)
	}
}

func TestFrozenGuestDoesNotShutDownBeforeTheThaw(t *testing.T) {
	b := newBench(t, nil)
	must(t, b.launcher.Freeze(5, "test"))
	b.guest.RequestShutdown()
	b.until("timer and shutdown wait", func() bool { return b.clock.Waiters() == 2 })
	b.clock.Step(shutdownTime)
	b.wantFrozen(true)
	b.clock.Step(5 * time.Second)
	b.untilEvent("stopped", 1)
	if b.count("thawed") != 1 || b.guest.State().Ended != "shutdown" {
		t.Fatalf("events %v", b.events)
	}
}
