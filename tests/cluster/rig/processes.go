package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is one program of the cluster. Its output goes to logs/NAME.log.
type command struct {
	name    string
	argv    []string
	env     []string // on top of a small clean environment
	restart bool     // start it again whenever it ends (virt-api and virt-controller count on that)
	mountNS bool     // in a private mount namespace, and in a user namespace when not root
}

// processes owns every child of the supervisor. They die with it: each has the parent-death signal KILL, and a
// process group of its own; grandchildren that lost their parent become children of the supervisor (subreaper).
type processes struct {
	logs string
	fork chan func() // runs on the one thread that starts children: the death signal is bound to that thread

	mu      sync.Mutex
	running map[string]*os.Process
	stopped bool
	ended   map[string]error // programs that ended without being asked to, and are not restarted
}

func newProcesses(logs string) (*processes, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	p := &processes{logs: logs, fork: make(chan func()), running: map[string]*os.Process{}, ended: map[string]error{}}
	go func() {
		runtime.LockOSThread() // for ever: this thread must not end while a child lives
		for f := range p.fork {
			f()
		}
	}()
	return p, nil
}

func (p *processes) log(name string) string { return filepath.Join(p.logs, name+".log") }

func (p *processes) spawn(c command) (*exec.Cmd, error) {
	log, err := os.OpenFile(p.log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	// No KUBECONFIG: it would override the --kubeconfig of some of the programs.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.logs, "TMPDIR=" + filepath.Join(filepath.Dir(p.logs), "tmp")}, c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.mountNS {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, errors.New("the cluster is being stopped")
	}
	done := make(chan error)
	p.fork <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	p.running[c.name] = cmd.Process
	return cmd, nil
}

// start starts c and watches over it.
func (p *processes) start(c command) error {
	cmd, err := p.spawn(c)
	if err != nil {
		return err
	}
	go func() {
		for {
			began := time.Now()
			err := cmd.Wait()
			p.mu.Lock()
			delete(p.running, c.name)
			if !p.stopped && !c.restart {
				if err == nil {
					err = errors.New("exit status 0")
				}
				p.ended[c.name] = err
			}
			stopped := p.stopped
			p.mu.Unlock()
			if stopped || !c.restart {
				return
			}
			logf("%s ended (%v), starting it again", c.name, cmd.ProcessState)
			if time.Since(began) < time.Second {
				time.Sleep(time.Second) // a program that fails at once must not eat the machine
			}
			if cmd, err = p.spawn(c); err != nil {
				return
			}
		}
	}()
	return nil
}

// run starts c and waits for its end.
func (p *processes) run(c command) error {
	cmd, err := p.spawn(c)
	if err != nil {
		return err
	}
	err = cmd.Wait()
	p.mu.Lock()
	delete(p.running, c.name)
	p.mu.Unlock()
	if err != nil {
		return &programError{c.name, fmt.Errorf("ended: %w", err)}
	}
	return nil
}

// failed is the first program found that ended unasked, as an error.
func (p *processes) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, err := range p.ended {
		return &programError{name, fmt.Errorf("ended: %w", err)}
	}
	return nil
}

// programError is a failure about which the log of a program tells more.
type programError struct {
	name string
	err  error
}

func (e *programError) Error() string { return fmt.Sprintf("%s: %v", e.name, e.err) }

// stop kills everything at once: the state is thrown away, and an orderly stop would take half a minute.
func (p *processes) stop() {
	p.mu.Lock()
	p.stopped = true
	for _, process := range p.running {
		_ = syscall.Kill(-process.Pid, syscall.SIGKILL)
	}
	p.mu.Unlock()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left := descendants(os.Getpid())
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // grandchildren that were handed to us
		}
	}
}

// descendants lists the processes below pid, zombies included.
func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}
