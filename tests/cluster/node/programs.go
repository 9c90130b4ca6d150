package main

// The programs that guests and pods have, beside true, false, echo and cat: enough for the steps of a recipe.
//
//	sleep D              ends after D
//	printenv NAME        prints the variable; exit code 1 where it is not set (guests only)
//	lock NAME [D]        holds the lock, from D on (guests), for as long as it runs, which is until somebody ends it
//	locked NAME          exit code 0: somebody holds it
//	unlock NAME          ends who holds it; good also where nobody does
//	kill PID             ends that process (guests only)
//
// tests/support/fake_cluster_agent.cpp and fake_cluster_exec.cpp play the same.

import (
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"
)

// guestProcess is what guest-exec started.
type guestProcess struct {
	forever bool // until somebody ends it
	ends    time.Time
	code    int
	signal  int // that ended it
	out     string
	lock    string // what it holds while it runs
	locked  time.Time
}

func (p *guestProcess) running(now time.Time) bool { return p.forever || p.ends.After(now) }

func (p *guestProcess) end(now time.Time) {
	p.forever, p.ends, p.signal = false, now, 15
}

// guestExec is what guest-exec says of a command.
type guestExec struct {
	Path    string   `json:"path"`
	Arg     []string `json:"arg"`
	Env     []string `json:"env"`
	Input   string   `json:"input-data"`
	Capture any      `json:"capture-output"`
}

// program runs one of the played programs; nil: there is none of that name. Called with the lock held.
func (g *Guest) program(e guestExec) *guestProcess {
	now := g.clock.Now()
	p := &guestProcess{ends: now}
	word := func(i int) string {
		if i < len(e.Arg) {
			return e.Arg[i]
		}
		return ""
	}
	length := func(i int) time.Duration {
		d, _ := time.ParseDuration(word(i))
		return d
	}
	switch e.Path[strings.LastIndex(e.Path, "/")+1:] {
	case "true":
	case "false":
		p.code = 1
	case "echo":
		p.out = strings.Join(e.Arg, " ") + "\n"
	case "cat":
		input, _ := base64.StdEncoding.DecodeString(e.Input)
		p.out = string(input)
	case "printenv":
		p.code = 1
		for _, v := range e.Env {
			if value, ok := strings.CutPrefix(v, word(0)+"="); ok {
				p.code, p.out = 0, value+"\n"
			}
		}
	case "sleep":
		p.ends = now.Add(length(0))
	case "lock":
		p.forever, p.lock, p.locked = true, word(0), now.Add(length(1))
	case "locked", "unlock":
		unlock := strings.HasSuffix(e.Path, "unlock")
		if !unlock {
			p.code = 1
		}
		for _, other := range g.execs {
			switch {
			case other.lock != word(0) || !other.running(now):
			case unlock:
				other.end(now)
			case !other.locked.After(now):
				p.code = 0
			}
		}
	case "kill":
		p.code = 1
		pid, _ := strconv.ParseInt(word(0), 10, 64)
		if other := g.execs[pid]; other != nil {
			p.code = 0
			other.end(now)
		}
	default:
		return nil
	}
	return p
}

// podLocks are the locks that commands in pods hold, by pod and name.
type podLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (l *podLocks) lock(name string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	ended := make(chan struct{})
	l.held[name] = ended
	return ended
}

func (l *podLocks) locked(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[name] != nil
}

func (l *podLocks) unlock(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended := l.held[name]; ended != nil {
		close(ended)
		delete(l.held, name)
	}
}

// podProgram runs one of the played programs in a pod; false: there is none of that name.
func (k *Kubelet) podProgram(pod string, cmd []string) (error, bool) {
	word := ""
	if len(cmd) > 1 {
		word = cmd[1]
	}
	name := pod + " " + word
	switch cmd[0][strings.LastIndex(cmd[0], "/")+1:] {
	case "sleep":
		d, _ := time.ParseDuration(word)
		time.Sleep(d)
		return nil, true
	case "lock":
		<-k.locks.lock(name)
		return exitWith(143), true
	case "locked":
		if !k.locks.locked(name) {
			return exitWith(1), true
		}
		return nil, true
	case "unlock":
		k.locks.unlock(name)
		return nil, true
	}
	return nil, false
}
