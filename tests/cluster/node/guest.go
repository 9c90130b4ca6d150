package main

// QEMU and what runs in it: power, pause, the guest agent's channel, frozen file systems, and the workload that
// writes the journal. What a command answers follows the QEMU guest agent (qga/commands.c, qga/commands-posix.c,
// qga/vss-win32) behind libvirt (src/qemu/qemu_agent.c, qemu_driver.c).

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	agentJobWait  = 30 * time.Second // libvirt: how long a command waits for the one before it
	agentSyncWait = 5 * time.Second  // libvirt: how long a silent agent is waited for
	vssLimit      = 10 * time.Second // Windows lets a VSS snapshot hold the writes no longer
	shutdownTime  = 200 * time.Millisecond
)

// libvirtError is an error as KubeVirt prints it (pkg/virt-launcher/virtwrap/errors).
type libvirtError struct {
	code, domain int
	message      string
}

func (e *libvirtError) Error() string {
	return fmt.Sprintf("LibvirtError(Code=%d, Domain=%d, Message='%s')", e.code, e.domain, e.message)
}

var (
	errNotRunning   = &libvirtError{55, 10, "Requested operation is not valid: domain is not running"}
	errNoAgent      = &libvirtError{86, 10, "Guest agent is not responding: QEMU guest agent is not connected"}
	errSilentAgent  = &libvirtError{86, 10, "Guest agent is not responding: Guest agent not available for now"}
	errAgentGone    = &libvirtError{86, 10, "Guest agent is not responding: Guest agent disappeared while executing command"}
	errAgentJobBusy = &libvirtError{68, 10, "Timed out during operation: cannot acquire state change lock (held by agent=remoteDispatchDomainFSFreeze)"}
)

func agentFailed(command, text string) error {
	return &libvirtError{1, 10, fmt.Sprintf("internal error: unable to execute QEMU agent command '%s': %s", command, text)}
}

// allowedWhileFrozen is what the agent still does while file systems are frozen.
var allowedWhileFrozen = []string{"guest-ping", "guest-info", "guest-sync", "guest-sync-delimited",
	"guest-fsfreeze-status", "guest-fsfreeze-thaw"}

// agentCommands is what the agent knows.
var agentCommands = []string{"guest-sync-delimited", "guest-sync", "guest-ping", "guest-get-time", "guest-set-time",
	"guest-info", "guest-shutdown", "guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write",
	"guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw",
	"guest-fstrim", "guest-network-get-interfaces", "guest-get-vcpus", "guest-get-fsinfo", "guest-set-user-password",
	"guest-exec-status", "guest-exec", "guest-get-host-name", "guest-get-users", "guest-get-timezone",
	"guest-get-osinfo", "guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys",
	"guest-ssh-remove-authorized-keys"}

// Guest is one domain. All methods are safe for concurrent use; agent commands block as the real ones do.
type Guest struct {
	clock    clock.WithDelayedExecution
	event    func(event string, f Fields) // never nil
	onChange func()                       // power, pause or agent changed; called without the lock
	pace     time.Duration                // of the journal; 0: the owner calls Tick
	specs    []JournalDisk

	agentJob chan struct{} // holds one token: libvirt runs one agent command at a time

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	knobs   Knobs
	journal *Journal
	boot    int // counts power-ons, so that what belongs to an earlier one ends
	on      bool
	paused  bool
	agent   bool
	frozen  bool
	ended   string // "", shutdown, destroyed, crashed

	vssOver  bool // Windows gave up holding the writes; the agent still says frozen
	vssLeft  time.Duration
	vssSince time.Time
	vssTimer clock.Timer

	tries map[string]try
	execs map[int64]*guestProcess

	lastPID int64
}

// try counts the failures of a fail:N knob; a changed knob starts anew.
type try struct {
	action Action
	failed int
}

func newGuest(c clock.WithDelayedExecution, specs []JournalDisk, knobs Knobs, pace time.Duration,
	event func(string, Fields), onChange func()) *Guest {
	if onChange == nil {
		onChange = func() {}
	}
	return &Guest{clock: c, event: event, onChange: onChange, pace: pace, specs: specs, knobs: knobs,
		agentJob: make(chan struct{}, 1), changed: make(chan struct{}),
		tries: map[string]try{}, execs: map[int64]*guestProcess{}}
}

// bump wakes everything that waits for a change. Called with the lock held.
func (g *Guest) bump() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Boot powers the guest on: it looks at its disks, says what it found, and starts to write.
func (g *Guest) Boot(paused bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bootLocked(paused)
}

func (g *Guest) bootLocked(paused bool) error {
	g.execs = map[int64]*guestProcess{}
	journal, found, err := OpenJournal(g.specs)
	if err != nil {
		return err
	}
	g.journal = journal
	g.boot++
	g.on, g.paused, g.agent, g.frozen = true, paused, false, false
	g.event("boot", Fields{"found": found.Verdict, "last": found.Last, "mark": found.Mark, "reasons": found.Reasons,
		"disks": journal.Names(), "n": journal.Last()})
	g.bump()
	go g.agentLoop(g.boot)
	if g.pace > 0 {
		go g.writeLoop(g.boot)
	}
	return nil
}

func (g *Guest) writeLoop(boot int) {
	ticker := time.NewTicker(g.pace)
	defer ticker.Stop()
	for range ticker.C {
		if !g.alive(boot) {
			return
		}
		g.Tick()
	}
}

// Tick is one step of the workload: it writes if the guest runs and nothing holds its writes.
func (g *Guest) Tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.on || g.paused || (g.frozen && !g.vssOver) {
		return
	}
	if err := g.journal.Tick(); err != nil {
		g.event("write-failed", Fields{"error": err.Error()})
	}
}

func (g *Guest) alive(boot int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.on && g.boot == boot
}

// agentLoop opens and closes the agent's channel as the knobs say, until the next boot or the end.
func (g *Guest) agentLoop(boot int) {
	g.mu.Lock()
	delay := g.knobs.AgentDelay
	g.mu.Unlock()
	if !g.sleep(boot, delay) {
		return
	}
	for {
		g.mu.Lock()
		if !g.on || g.boot != boot {
			g.mu.Unlock()
			return
		}
		want, flap := g.knobs.Agent != "none", g.knobs.Agent == "flapping"
		half := g.knobs.AgentFlap
		if flap {
			want = !g.agent
		}
		turned := want != g.agent
		if turned {
			g.agent = want
			g.bump()
		}
		changed := g.changed
		mode := g.knobs.Agent
		g.mu.Unlock()
		if turned {
			g.event("agent", Fields{"connected": want})
			g.onChange()
		}
		var timer <-chan time.Time
		if flap {
			timer = g.clock.After(half)
		}
		for waiting := true; waiting; {
			select {
			case <-timer:
				waiting = false
			case <-changed:
				g.mu.Lock()
				changed = g.changed
				waiting = g.on && g.boot == boot && g.knobs.Agent == mode
				g.mu.Unlock()
			}
		}
	}
}

// sleep lets d pass, and then waits until the guest is not paused. False: that boot is over.
func (g *Guest) sleep(boot int, d time.Duration) bool {
	var timer <-chan time.Time
	if d > 0 {
		timer = g.clock.After(d)
	}
	passed := d <= 0
	for {
		g.mu.Lock()
		alive, paused, changed := g.on && g.boot == boot, g.paused, g.changed
		g.mu.Unlock()
		if !alive {
			return false
		}
		if passed && !paused {
			return true
		}
		select {
		case <-timer:
			passed, timer = true, nil
		case <-changed:
		}
	}
}

// waitUntil blocks until cond, asked with the lock held, is true. False: that boot is over.
func (g *Guest) waitUntil(boot int, cond func() bool) bool {
	for {
		g.mu.Lock()
		alive, met, changed := g.on && g.boot == boot, cond(), g.changed
		g.mu.Unlock()
		if !alive {
			return false
		}
		if met {
			return true
		}
		<-changed
	}
}

// lockRunning takes the lock at a moment at which the guest runs (not paused). False: that boot is over, no lock held.
func (g *Guest) lockRunning(boot int) bool {
	for g.sleep(boot, 0) {
		g.mu.Lock()
		if g.on && g.boot == boot && !g.paused {
			return true
		}
		g.mu.Unlock()
	}
	return false
}

// SetKnobs changes the behaviour of the running guest.
func (g *Guest) SetKnobs(k Knobs) {
	g.mu.Lock()
	g.knobs = k
	g.bump()
	g.mu.Unlock()
}

// GuestState is a look at the guest from outside.
type GuestState struct {
	On, Paused, Agent bool
	Ended             string
	Knobs             Knobs
	Disks             []string
}

func (g *Guest) State() GuestState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := GuestState{On: g.on, Paused: g.paused, Agent: g.on && g.agent, Ended: g.ended, Knobs: g.knobs}
	if g.journal != nil {
		s.Disks = g.journal.Names()
	}
	return s
}

// Changed returns a channel that is closed at the next change, and whether agent commands can be answered now.
func (g *Guest) Changed() (<-chan struct{}, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed, g.on && !g.paused && g.agent
}

// Pause stops the guest's processors; nothing runs, the agent included. True: it was running.
func (g *Guest) Pause() bool {
	g.mu.Lock()
	if !g.on || g.paused {
		g.mu.Unlock()
		return false
	}
	g.paused = true
	if g.vssTimer != nil {
		g.vssTimer.Stop()
		g.vssLeft -= g.clock.Since(g.vssSince)
		g.vssTimer = nil
	}
	g.event("pause", Fields{"n": g.journal.Last(), "frozen": g.frozen})
	g.bump()
	g.mu.Unlock()
	g.onChange()
	return true
}

// Unpause lets it run again. True: it was paused.
func (g *Guest) Unpause() bool {
	g.mu.Lock()
	if !g.on || !g.paused {
		g.mu.Unlock()
		return false
	}
	g.paused = false
	if g.frozen && g.knobs.Windows && !g.vssOver {
		g.armVSS()
	}
	g.event("unpause", Fields{"n": g.journal.Last(), "frozen": g.frozen})
	g.bump()
	g.mu.Unlock()
	g.onChange()
	return true
}

// armVSS starts what is left of Windows' limit. Called with the lock held.
func (g *Guest) armVSS() {
	boot := g.boot
	g.vssSince = g.clock.Now()
	g.vssTimer = g.clock.AfterFunc(max(g.vssLeft, 0), func() { go g.vssGivesUp(boot) })
}

func (g *Guest) vssGivesUp(boot int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.on || g.boot != boot || g.paused || !g.frozen || g.vssOver || g.vssTimer == nil {
		return
	}
	g.vssOver, g.vssTimer = true, nil
	if err := g.journal.Thaw(); err != nil {
		g.event("write-failed", Fields{"error": err.Error()})
	}
	g.event("writes-resumed", Fields{"n": g.journal.Last(), "why": "VSS limit"})
	g.bump()
}

// unfreezeLocked forgets the frozen state.
func (g *Guest) unfreezeLocked() {
	if g.vssTimer != nil {
		g.vssTimer.Stop()
		g.vssTimer = nil
	}
	g.frozen, g.vssOver = false, false
}

// available is libvirt's check before an agent command. Called with the lock held.
func (g *Guest) available() error {
	if !g.on || g.paused {
		return errNotRunning
	}
	if !g.agent {
		return errNoAgent
	}
	return nil
}

// withAgent runs one agent command once the ones before it are done: body is called without the lock.
func (g *Guest) withAgent(command string, body func(boot int, k Knobs) error) error {
	check := func() (int, Knobs, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if err := g.available(); err != nil {
			return 0, Knobs{}, err
		}
		return g.boot, g.knobs, nil
	}
	if _, _, err := check(); err != nil {
		return err
	}
	select {
	case g.agentJob <- struct{}{}:
	default:
		timer := g.clock.NewTimer(agentJobWait)
		select {
		case g.agentJob <- struct{}{}:
			timer.Stop()
		case <-timer.C():
			return errAgentJobBusy
		}
	}
	defer func() { <-g.agentJob }()
	boot, k, err := check()
	if err != nil {
		return err
	}
	if k.Agent == "hung" {
		<-g.clock.After(agentSyncWait)
		return errSilentAgent
	}
	g.mu.Lock()
	enabled, known := g.commandState(command)
	frozen := g.frozen
	g.mu.Unlock()
	switch {
	case !known:
		return agentFailed(command, fmt.Sprintf("The command %s has not been found", command))
	case !enabled && frozen && !slices.Contains(allowedWhileFrozen, command):
		return agentFailed(command, fmt.Sprintf("Command %s has been disabled: the agent is in frozen state", command))
	case !enabled:
		return agentFailed(command, fmt.Sprintf("Command %s has been disabled: the command is not allowed", command))
	}
	return body(boot, k)
}

// commandState says what guest-info would of a command. Called with the lock held.
func (g *Guest) commandState(command string) (enabled, known bool) {
	fsfreeze := len(command) > 14 && command[:14] == "guest-fsfreeze"
	if !slices.Contains(agentCommands, command) || (fsfreeze && g.knobs.FreezeBlocked == "absent") {
		return false, false
	}
	if fsfreeze && g.knobs.FreezeBlocked != "" {
		return false, true
	}
	if g.knobs.GuestExec.Mode == "blocked" && (command == "guest-exec" || command == "guest-exec-status") {
		return false, true
	}
	return !g.frozen || slices.Contains(allowedWhileFrozen, command), true
}

// fails says whether this attempt of a knob fails: always for fail, the first N times for fail:N. Lock held.
func (g *Guest) fails(name string, a Action) bool {
	if a.Mode != "fail" {
		return false
	}
	t := g.tries[name]
	if t.action != a {
		t = try{action: a}
	}
	t.failed++
	g.tries[name] = t
	return a.N == 0 || t.failed <= a.N
}

// AgentStatus is guest-fsfreeze-status: true is frozen.
func (g *Guest) AgentStatus() (bool, error) {
	frozen := false
	err := g.withAgent("guest-fsfreeze-status", func(boot int, k Knobs) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		frozen = g.frozen
		return nil
	})
	return frozen, err
}

// AgentFreeze is guest-fsfreeze-freeze. It returns when the agent does: that may be after the caller gave up.
func (g *Guest) AgentFreeze() error {
	const command = "guest-fsfreeze-freeze"
	return g.withAgent(command, func(boot int, k Knobs) error {
		switch k.Freeze.Mode {
		case "slow":
			if !g.sleep(boot, k.Freeze.For) {
				return errAgentGone
			}
		case "hang":
			if k.Freeze.For > 0 {
				if !g.sleep(boot, k.Freeze.For) {
					return errAgentGone
				}
			} else if !g.waitUntil(boot, func() bool { return g.knobs.Freeze.Mode != "hang" }) {
				return errAgentGone
			}
			return agentFailed(command, "failed to freeze /data: Input/output error")
		}
		if !g.lockRunning(boot) {
			return errAgentGone
		}
		defer g.mu.Unlock()
		if g.fails("freeze", k.Freeze) {
			return agentFailed(command, "failed to freeze /data: Device or resource busy")
		}
		if err := g.journal.Freeze(); err != nil {
			return agentFailed(command, err.Error())
		}
		g.frozen = true
		if g.knobs.Windows {
			g.vssLeft = vssLimit
			g.armVSS()
		}
		g.event("frozen", Fields{"n": g.journal.Last()})
		return nil
	})
}

// AgentThaw is guest-fsfreeze-thaw.
func (g *Guest) AgentThaw() error {
	const command = "guest-fsfreeze-thaw"
	return g.withAgent(command, func(boot int, k Knobs) error {
		switch k.Thaw.Mode {
		case "slow":
			if !g.sleep(boot, k.Thaw.For) {
				return errAgentGone
			}
		case "hang":
			if k.Thaw.For > 0 {
				if !g.sleep(boot, k.Thaw.For) {
					return errAgentGone
				}
			} else if !g.waitUntil(boot, func() bool { return g.knobs.Thaw.Mode != "hang" }) {
				return errAgentGone
			}
		}
		if !g.lockRunning(boot) {
			return errAgentGone
		}
		defer g.mu.Unlock()
		if g.fails("thaw", k.Thaw) {
			return agentFailed(command, "failed to thaw /data: Input/output error")
		}
		if !g.frozen {
			return nil
		}
		late := g.vssOver
		if !late {
			if err := g.journal.Thaw(); err != nil {
				return agentFailed(command, err.Error())
			}
		}
		g.unfreezeLocked()
		g.event("thawed", Fields{"n": g.journal.Last(), "late": late})
		g.bump()
		if late {
			// The Windows agent counts as thawed from here on, whatever it answers.
			return agentFailed(command, "couldn't hold writes: fsfreeze is limited up to 10 seconds")
		}
		return nil
	})
}

// Reset is the reset button: power is not lost, all that the guest had in memory is.
func (g *Guest) Reset() error { return g.restart(false) }

// canStop waits until the guest gets through an orderly shutdown: it has to run, and its file systems must take writes.
func (g *Guest) canStop(boot int, d time.Duration) bool {
	return g.sleep(boot, d) && g.waitUntil(boot, func() bool { return !g.paused && (!g.frozen || g.vssOver) })
}

// Reboot is an orderly reboot by agent or ACPI. A paused or frozen guest does not get through it until it is let go.
func (g *Guest) Reboot() {
	g.mu.Lock()
	boot := g.boot
	g.mu.Unlock()
	go func() {
		if g.canStop(boot, shutdownTime) {
			if err := g.restart(true); err != nil {
				g.event("boot-failed", Fields{"error": err.Error()})
			}
		}
	}()
}

func (g *Guest) restart(orderly bool) error {
	g.mu.Lock()
	if !g.on {
		g.mu.Unlock()
		return errNotRunning
	}
	if orderly {
		if err := g.journal.Shutdown(); err != nil {
			g.event("write-failed", Fields{"error": err.Error()})
		}
	}
	g.journal.Close()
	g.unfreezeLocked()
	err := g.bootLocked(g.paused)
	g.mu.Unlock()
	g.onChange()
	return err
}

// RequestShutdown presses the power button: the guest ends when it likes (knob shutdown), a paused or frozen one not
// before it is let go. Returns at once.
func (g *Guest) RequestShutdown() {
	g.mu.Lock()
	boot, k := g.boot, g.knobs
	g.mu.Unlock()
	g.event("shutdown-request", Fields{"shutdown": k.Shutdown.Mode})
	go func() {
		pause := shutdownTime
		switch k.Shutdown.Mode {
		case "slow":
			pause = k.Shutdown.For
		case "never":
			if !g.waitUntil(boot, func() bool { return g.knobs.Shutdown.Mode != "never" }) {
				return
			}
		}
		if g.canStop(boot, pause) {
			g.PowerOff("shutdown")
		}
	}()
}

// PowerOff ends the guest: why is shutdown (in order: disks are left clean), destroyed or crashed.
func (g *Guest) PowerOff(why string) {
	g.mu.Lock()
	if !g.on {
		g.mu.Unlock()
		return
	}
	if why == "shutdown" {
		if err := g.journal.Shutdown(); err != nil {
			g.event("write-failed", Fields{"error": err.Error()})
		}
	}
	g.on, g.agent, g.paused, g.ended = false, false, false, why
	g.unfreezeLocked()
	g.event("stopped", Fields{"why": why, "n": g.journal.Last()})
	g.journal.Close()
	g.bump()
	g.mu.Unlock()
	g.onChange()
}

// Plug adds a disk to the running guest, Unplug takes one away.
func (g *Guest) Plug(s JournalDisk) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.on || slices.Contains(g.journal.Names(), s.Name) {
		return nil
	}
	if err := g.journal.Add(s); err != nil {
		return err
	}
	g.specs = append(g.specs, s)
	g.event("plug", Fields{"disk": s.Name, "n": g.journal.Last()})
	return nil
}

func (g *Guest) Unplug(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.on || !slices.Contains(g.journal.Names(), name) {
		return
	}
	g.journal.Remove(name)
	g.specs = slices.DeleteFunc(g.specs, func(s JournalDisk) bool { return s.Name == name })
	g.event("unplug", Fields{"disk": name, "n": g.journal.Last()})
}
