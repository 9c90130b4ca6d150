// Command rig starts one real Kubernetes and KubeVirt control plane on loopback and owns all its processes. It is
// what tests/cluster/up and down call once everything is built; it knows no Kubernetes types and starts in no time.
//
//	rig start --state DIR --bin DIR --source DIR --kubevirt VERSION [--gates A,B] [--without-gates A] --parent PID [--foreground]
//	    starts a supervisor, waits until the cluster is ready, prints `export NAME=VALUE` lines on stdout (progress on
//	    stderr) and leaves it running until the process PID ends or `rig stop` is called.
//	rig stop --state DIR
//	    kills the cluster in that folder and waits until nothing of it is left.
//
// Exit codes: 0 done, 1 failed (nothing is left running), 2 wrong usage.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pidFile = "supervisor.pid"
	marker  = ".vmbackup-cluster" // a folder with this file may be wiped by the next start
)

var began = time.Now()

func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.2f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch name, args := os.Args[1], os.Args[2:]; name {
	case "start":
		err = start(args)
	case "stop":
		err = stop(args)
	case "supervise":
		err = supervise(args)
	case "with-etc":
		if len(args) < 3 {
			usage()
		}
		err = runWithEtc(args[0], args[1], args[2:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: rig start|stop [flags]; see tests/cluster/README.md")
	os.Exit(2)
}

func (s *settings) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ExitOnError)
	f.StringVar(&s.state, "state", "", "`folder` of the cluster")
	f.StringVar(&s.bin, "bin", "", "`folder` of the binaries")
	f.StringVar(&s.source, "source", "", "`folder` tests/cluster")
	f.StringVar(&s.kubevirt, "kubevirt", "", "`version`")
	f.StringVar(&s.gates, "gates", "", "feature gates to turn on")
	f.StringVar(&s.without, "without-gates", "", "feature gates to turn off")
	f.IntVar(&s.parent, "parent", 0, "end when this `pid` ends")
	f.DurationVar(&s.patience, "patience", 2*time.Minute, "how long the start may take")
	return f
}

func (s *settings) args() []string {
	return []string{"--state=" + s.state, "--bin=" + s.bin, "--source=" + s.source, "--kubevirt=" + s.kubevirt, "--gates=" + s.gates,
		"--without-gates=" + s.without, fmt.Sprintf("--parent=%d", s.parent), fmt.Sprintf("--patience=%s", s.patience)}
}

// start runs the supervisor in a session of its own and reports what it says. If start ends before the cluster is
// ready, so does the supervisor: it holds the other end of a pipe of ours.
func start(args []string) error {
	var s settings
	flags := s.flags("start")
	foreground := flags.Bool("foreground", false, "stay until interrupted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *foreground {
		s.parent = os.Getpid()
	}
	if s.state == "" || s.parent == 0 {
		usage()
	}
	if err := prepareState(s.state); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.state, "logs", "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	fromSupervisor, toUs, err := os.Pipe()
	if err != nil {
		return err
	}
	life, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	cmd := exec.Command(self, append([]string{"supervise"}, s.args()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{toUs, life} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	toUs.Close()
	life.Close()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(fromSupervisor)
		for lines.Scan() {
			kind, text, _ := strings.Cut(lines.Text(), " ")
			switch kind {
			case "step":
				logf("%s", text)
			case "line":
				fmt.Fprintln(os.Stderr, text)
			case "failed":
				ready <- errors.New(text)
				return
			case "export":
				fmt.Println("export " + text)
			case "ready":
				ready <- nil
				return
			}
		}
		ready <- fmt.Errorf("the supervisor ended; see %s", log.Name())
	}()
	select {
	case err = <-ready:
	case s := <-interrupted:
		err = fmt.Errorf("%v while starting", s)
	}
	if err != nil {
		ours.Close() // the supervisor stops everything and ends
		_ = cmd.Wait()
		return err
	}
	logf("ready: %s", s.state)
	if *foreground {
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-interrupted:
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
		case <-ended:
			return fmt.Errorf("the supervisor ended; see %s", log.Name())
		}
		return nil
	}
	return cmd.Process.Release()
}

// prepareState empties the folder if it is one of ours, and makes its subfolders.
func prepareState(state string) error {
	if entries, err := os.ReadDir(state); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(state, marker)); err != nil {
			return fmt.Errorf("%s is not empty and was not made by this program: refusing to use it", state)
		}
		if pid, ok := supervisorOf(state); ok {
			return fmt.Errorf("a cluster already runs in %s (supervisor %d): stop it with tests/cluster/down --state %s", state, pid, state)
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(state, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{"logs", "tmp", "volumes", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(state, "audit-policy.yaml"), []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(state, marker), nil, 0o644)
}

// supervisorOf finds the live supervisor of a state folder: the pid file is believed only if that process says so too.
func supervisorOf(state string) (int, bool) {
	text, err := os.ReadFile(filepath.Join(state, pidFile))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(cmdline), "\x00supervise\x00--state="+state+"\x00") {
		return 0, false
	}
	return pid, true
}

func stop(args []string) error {
	var s settings
	if err := s.flags("stop").Parse(args); err != nil {
		return err
	}
	if s.state == "" {
		usage()
	}
	if _, err := os.Stat(filepath.Join(s.state, marker)); err != nil {
		return fmt.Errorf("no cluster in %s: %w", s.state, err)
	}
	pid, ok := supervisorOf(s.state)
	if !ok {
		logf("no cluster runs in %s", s.state)
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // it has just ended
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		return err
	}
	if !ended(fd, 15*time.Second) {
		return fmt.Errorf("the supervisor %d does not end", pid)
	}
	return nil
}

// ended waits until the process of a pidfd ends; a negative limit waits for ever.
func ended(fd int, limit time.Duration) bool {
	millis := -1
	if limit >= 0 {
		millis = int(limit.Milliseconds())
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, millis)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

// supervise is the process that owns a cluster. It reports on file descriptor 3 until ready, takes the end of file
// on 4 before that as an order to stop, and afterwards lives until its parent ends or TERM comes.
func supervise(args []string) error {
	var s settings
	if err := s.flags("supervise").Parse(args); err != nil {
		return err
	}
	report, life := os.NewFile(3, "report"), os.NewFile(4, "life")
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	parent, err := unix.PidfdOpen(s.parent, 0)
	if err != nil {
		fmt.Fprintf(report, "failed the parent process %d: %v\n", s.parent, err)
		return err
	}
	if err := os.WriteFile(filepath.Join(s.state, pidFile), fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		ended(parent, -1)
		cancel(errors.New("its parent process ended"))
	}()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	go func() {
		<-asked
		cancel(errors.New("it was asked to stop"))
	}()
	started := make(chan struct{})
	go func() {
		_, _ = life.Read(make([]byte, 1))
		select {
		case <-started:
		default:
			cancel(errors.New("the command that started it ended"))
		}
	}()

	processes, err := newProcesses(filepath.Join(s.state, "logs"))
	if err != nil {
		return err
	}
	c := &cluster{settings: s, processes: processes}
	limited, done := context.WithTimeoutCause(ctx, s.patience, fmt.Errorf("not up after %s", s.patience))
	defer done()
	err = c.up(limited, func(step string) {
		logf("%s", step)
		fmt.Fprintln(report, "step "+step)
	})
	if err == nil {
		close(started)
		fmt.Fprintf(report, "export KUBECONFIG=%s\n", quote(filepath.Join(s.state, "kubeconfig")))
		fmt.Fprintf(report, "export VMBACKUP_CLUSTER_STATE=%s\n", quote(s.state))
		fmt.Fprintln(report, "ready")
		report.Close()
		logf("ready")
		<-ctx.Done()
		err = context.Cause(ctx)
		logf("ends: %v", err)
		processes.stop()
	} else {
		processes.stop()
		var program *programError
		if ctx.Err() == nil && errors.As(err, &program) { // else it was stopped: no log tells why
			tail(report, processes.log(program.name), 40)
		}
		fmt.Fprintf(report, "failed %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	_ = os.Remove(filepath.Join(s.state, pidFile))
	_ = os.RemoveAll(filepath.Join(s.state, "etcd")) // large, and of no use to who reads the logs
	return nil
}

// tail sends the last lines of a log.
func tail(report *os.File, log string, n int) {
	text, err := os.ReadFile(log)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	fmt.Fprintf(report, "line --- the end of %s\n", log)
	for _, line := range lines[max(0, len(lines)-n):] {
		fmt.Fprintln(report, "line "+line)
	}
	fmt.Fprintln(report, "line ---")
}

// quote makes s one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
