package main

// What virt-launcher adds to the guest: freeze and thaw with their safety timer
// (pkg/virt-launcher/virtwrap/storage/fsfreeze.go), and the cached polls of the agent that VMI status and guestosinfo
// share (pkg/virt-launcher/virtwrap/agent-poller).

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const statusPoll = 5 * time.Second // virt-launcher's option qemu-fsfreeze-status-interval

// AgentCache is what the last successful polls said. A lost agent leaves it as it is.
type AgentCache struct {
	Polled   bool   // at least one round was tried
	Known    bool   // one round was answered: version, OS, commands, interfaces are there
	FSFreeze string // "", frozen or thawed
	Commands []AgentCommand
}

type AgentCommand struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// Launcher is one virt-launcher with its guest. Safe for concurrent use.
type Launcher struct {
	guest  *Guest
	clock  clock.WithDelayedExecution
	event  func(string, Fields)
	onPoll func() // the cache changed

	mu     sync.Mutex
	safety clock.Timer
	armed  int // which arming the running timer belongs to
	cache  AgentCache
	done   bool
}

func newLauncher(g *Guest, c clock.WithDelayedExecution, event func(string, Fields), onPoll func()) *Launcher {
	if onPoll == nil {
		onPoll = func() {}
	}
	return &Launcher{guest: g, clock: c, event: event, onPoll: onPoll}
}

// Freeze holds the file systems. An already frozen guest is success and changes nothing, the timer included; seconds
// is the safety timer, 0 for none. by is for the event log.
func (l *Launcher) Freeze(seconds int32, by string) error {
	l.event("freeze-request", Fields{"by": by, "seconds": seconds})
	frozen, err := l.guest.AgentStatus()
	if err == nil && frozen {
		l.event("freeze-again", Fields{"by": by})
		return nil
	}
	if err == nil {
		err = l.guest.AgentFreeze()
	}
	if err != nil {
		l.event("freeze-failed", Fields{"by": by, "error": err.Error()})
		return err
	}
	l.cancelSafety()
	if seconds != 0 {
		l.armSafety(time.Duration(seconds) * time.Second)
	}
	return nil
}

// Unfreeze thaws. The safety timer is gone before the agent is asked, so a refusal leaves a frozen guest without one.
func (l *Launcher) Unfreeze(by string) error {
	l.event("thaw-request", Fields{"by": by, "timerCancelled": l.cancelSafety()})
	return l.thaw(by)
}

func (l *Launcher) thaw(by string) error {
	frozen, err := l.guest.AgentStatus()
	if err == nil && !frozen {
		l.event("thaw-again", Fields{"by": by})
		return nil
	}
	if err := l.guest.AgentThaw(); err != nil {
		l.event("thaw-failed", Fields{"by": by, "error": err.Error()})
		return err
	}
	return nil
}

func (l *Launcher) armSafety(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed++
	mine := l.armed
	l.safety = l.clock.AfterFunc(max(d, 0), func() { go l.safetyFires(mine) })
}

// cancelSafety ends the timer; true: one was running.
func (l *Launcher) cancelSafety() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	running := l.safety != nil
	if running {
		l.safety.Stop()
		l.safety = nil
	}
	return running
}

func (l *Launcher) safetyFires(mine int) {
	l.mu.Lock()
	stale := l.safety == nil || l.armed != mine
	if !stale {
		l.safety = nil
	}
	l.mu.Unlock()
	if stale {
		return
	}
	l.event("safety-timer", nil)
	l.thaw("safety-timer") // fires once; its error is nobody's
}

// Close ends the poll and the timer, with the pod.
func (l *Launcher) Close() {
	l.cancelSafety()
	l.mu.Lock()
	l.done = true
	l.mu.Unlock()
}

// PollLoop polls the agent while it can answer: at once when the channel opens or the guest goes on after a pause,
// then every 5 s. It returns once the guest has ended.
func (l *Launcher) PollLoop() {
	polling := false
	var next <-chan time.Time
	for {
		changed, can := l.guest.Changed()
		l.mu.Lock()
		done := l.done
		l.mu.Unlock()
		if done || l.guest.State().Ended != "" {
			return
		}
		if !can {
			polling, next = false, nil
			<-changed
			continue
		}
		if !polling {
			polling = true
			l.Poll()
			next = l.clock.After(statusPoll)
			continue
		}
		select {
		case <-next:
			l.Poll()
			next = l.clock.After(statusPoll)
		case <-changed:
		}
	}
}

// Poll is one round. A command that fails leaves the cache as it is.
func (l *Launcher) Poll() {
	frozen, err := l.guest.AgentStatus()
	l.mu.Lock()
	before := l.cache.FSFreeze
	first := !l.cache.Polled
	l.cache.Polled = true
	if err == nil {
		l.cache.FSFreeze = "thawed"
		if frozen {
			l.cache.FSFreeze = "frozen"
		}
	}
	known := l.cache.Known
	l.mu.Unlock()
	if !known {
		var commands []AgentCommand
		if l.guest.withAgent("guest-info", func(int, Knobs) error {
			commands = l.guest.supportedCommands()
			return nil
		}) == nil {
			l.mu.Lock()
			l.cache.Known, l.cache.Commands = true, commands
			l.mu.Unlock()
			first = true
		}
	}
	l.mu.Lock()
	moved := first || before != l.cache.FSFreeze
	l.mu.Unlock()
	if moved {
		l.onPoll()
	}
}

func (l *Launcher) Cache() AgentCache {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cache
}

func (g *Guest) supportedCommands() []AgentCommand {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []AgentCommand
	for _, c := range agentCommands {
		if enabled, known := g.commandState(c); known {
			out = append(out, AgentCommand{Name: c, Enabled: enabled})
		}
	}
	return out
}
