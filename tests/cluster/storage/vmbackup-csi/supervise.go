package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stopGrace = 2 * time.Second // from TERM to KILL; the sidecars would drain for longer than a test wants to wait
	startWait = 20 * time.Second
	// socketMax is what fits into sockaddr_un, and a little less.
	socketMax = 100
)

// sidecarFlags are common to all of them. Their own defaults (5 requests per second, retries up to 5 minutes apart) make 50
// snapshots crawl and hide a recovery for minutes. Leader election stays off and no HTTP endpoint is opened.
var sidecarFlags = []string{"--kube-api-qps=100", "--kube-api-burst=200",
	"--retry-interval-start=200ms", "--retry-interval-max=2s", "-v=3"}

// process is a program that runs for as long as the cluster does.
type process struct {
	name string // of its log and pid files
	path string
	args []string
}

// group is a driver with the sidecars that talk to it over its socket.
type group struct {
	driver   process
	socket   string
	sidecars []process
}

// supervisor starts processes and keeps them running. All of them end with it.
type supervisor struct {
	state  string
	starts chan func() // run on one thread that lives as long as the process: PR_SET_PDEATHSIG looks at threads
}

// runAll is the command "run-all".
func runAll(args []string) error {
	set := flag.NewFlagSet("run-all", flag.ExitOnError)
	state := set.String("state", "", "state folder")
	kubeconfig := set.String("kubeconfig", "", "administrator's kubeconfig")
	bin := set.String("bin", "", "folder with the sidecars' binaries")
	withParent := set.Bool("end-with-parent", true, "end when the parent process does")
	parse(set, args, "state", "kubeconfig", "bin")
	for _, path := range []*string{state, kubeconfig, bin} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if _, err := os.Stat(*kubeconfig); err != nil {
		return err
	}

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	s := &supervisor{state: *state, starts: make(chan func())}
	parentDeath := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if *withParent {
			err = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
		}
		parentDeath <- err
		for start := range s.starts {
			start()
		}
	}()
	if err := <-parentDeath; err != nil {
		return fmt.Errorf("PR_SET_PDEATHSIG: %w", err)
	}

	sockets, remove, err := s.prepare()
	if err != nil {
		return err
	}
	defer remove()
	controller, groups, err := processes(*state, *kubeconfig, *bin, sockets)
	if err != nil {
		return err
	}
	var all, started sync.WaitGroup
	started.Add(1 + len(groups))
	all.Go(func() { s.keep(ctx, controller, started.Done) })
	for _, g := range groups {
		all.Go(func() { s.keepGroup(ctx, g, started.Done) })
	}
	go func() {
		started.Wait()
		if ctx.Err() == nil {
			fmt.Println("ready")
		}
	}()
	all.Wait()
	return nil
}

// prepare makes the folders and finds one for the sockets whose path is short enough; remove removes what was made outside
// of the state folder.
func (s *supervisor) prepare() (sockets string, remove func(), err error) {
	sockets = filepath.Join(s.state, "csi")
	for _, dir := range []string{sockets, filepath.Join(s.state, "logs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", nil, err
		}
	}
	if len(sockets)+len("/plain.vmbackup.test.sock") < socketMax {
		return sockets, func() {}, nil
	}
	sockets, err = os.MkdirTemp("", "vmbackup-csi-")
	return sockets, func() { os.RemoveAll(sockets) }, err
}

// processes is what storage consists of.
func processes(state, kubeconfig, bin, sockets string) (controller process, groups []group, err error) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	program := func(name, binary string, flags ...string) process {
		path := filepath.Join(bin, binary)
		if _, statErr := os.Stat(path); statErr != nil && err == nil {
			err = fmt.Errorf("%w (tests/cluster/storage/build makes it)", statErr)
		}
		return process{name, path, append(append([]string{"--kubeconfig=" + kubeconfig}, sidecarFlags...), flags...)}
	}
	driver := func(name, driverName string, snapshots bool) group {
		socket := filepath.Join(sockets, driverName+".sock")
		return group{socket: socket, driver: process{name, self, []string{"driver", "--state=" + state, "--socket=" + socket,
			"--name=" + driverName, "--snapshots=" + strconv.FormatBool(snapshots)}}}
	}
	controller = program("snapshot-controller", "snapshot-controller", "--worker-threads=50")

	real := driver("csi-driver", "csi.vmbackup.test", true)
	address := []string{"--csi-address=" + real.socket, "--timeout=60s"}
	metadata := append([]string{"--extra-create-metadata"}, address...)
	real.sidecars = []process{
		program("csi-provisioner", "csi-provisioner", metadata...),
		// A cut that is made to wait holds a worker: more of them than any test has slow disks.
		program("csi-snapshotter", "csi-snapshotter", append([]string{"--worker-threads=50"}, metadata...)...),
		program("csi-resizer", "csi-resizer", append([]string{"--handle-volume-inuse-error=false"}, address...)...),
	}
	plain := driver("plain-driver", "plain.vmbackup.test", false)
	plain.sidecars = []process{program("plain-provisioner", "csi-provisioner",
		"--extra-create-metadata", "--csi-address="+plain.socket, "--timeout=60s")}
	return controller, []group{real, plain}, err
}

// keepGroup keeps a driver and its sidecars running until ctx ends. The sidecars of a driver that went away end by
// themselves, but seconds later and not all of them: so they are ended here, before the driver is started again. started
// is called once, when all have been started for the first time.
func (s *supervisor) keepGroup(ctx context.Context, g group, started func()) {
	started = sync.OnceFunc(started)
	var pause backoff
	for ctx.Err() == nil {
		pause.begin()
		_ = os.Remove(g.socket) // so that the dial below finds the new one only
		gone := s.start(g.driver)
		if gone != nil && dialable(ctx, g.socket, gone.exited) {
			sidecarCtx, stop := context.WithCancel(ctx)
			var sidecars, up sync.WaitGroup
			up.Add(len(g.sidecars))
			for _, p := range g.sidecars {
				sidecars.Go(func() { s.keep(sidecarCtx, p, up.Done) })
			}
			go func() {
				up.Wait()
				if sidecarCtx.Err() == nil {
					started()
				}
			}()
			select {
			case <-gone.exited:
				log.Printf("%s ended (%s); restarting it and its sidecars", g.driver.name, gone.state())
			case <-ctx.Done():
			}
			stop()
			sidecars.Wait()
		}
		gone.stop()
		pause.wait(ctx)
	}
	started()
}

// keep keeps one process running until ctx ends. started is called once, after the first start or when there will be none.
func (s *supervisor) keep(ctx context.Context, p process, started func()) {
	started = sync.OnceFunc(started)
	defer started()
	var pause backoff
	for ctx.Err() == nil {
		pause.begin()
		if running := s.start(p); running != nil {
			started()
			select {
			case <-running.exited:
				log.Printf("%s ended (%s); see %s", p.name, running.state(), s.logPath(p))
			case <-ctx.Done():
			}
			running.stop()
		}
		pause.wait(ctx)
	}
}

func (s *supervisor) logPath(p process) string { return filepath.Join(s.state, "logs", p.name+".log") }

// child is a started process; a nil one has ended.
type child struct {
	command *exec.Cmd
	exited  chan struct{} // closed once it has been waited for
	pidFile string
}

// start starts p, or says why it could not and returns nil.
func (s *supervisor) start(p process) *child {
	output, err := os.OpenFile(s.logPath(p), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		log.Printf("%s: %v", p.name, err)
		return nil
	}
	defer output.Close()
	command := exec.Command(p.path, p.args...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "KUBECONFIG=") { // csi-provisioner would prefer it to its flag
			command.Env = append(command.Env, variable)
		}
	}
	failed := make(chan error)
	s.starts <- func() { failed <- command.Start() }
	if err := <-failed; err != nil {
		log.Printf("%s: %v", p.name, err)
		return nil
	}
	c := &child{command, make(chan struct{}), filepath.Join(s.state, "csi", p.name+".pid")}
	if err := os.WriteFile(c.pidFile, []byte(strconv.Itoa(command.Process.Pid)+"\n"), 0o644); err != nil {
		log.Printf("%s: %v", p.name, err)
	}
	go func() {
		_ = command.Wait() // told by ProcessState
		_ = os.Remove(c.pidFile)
		close(c.exited)
	}()
	return c
}

func (c *child) state() string { return c.command.ProcessState.String() }

// stop ends the process and waits for its end.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.command.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-c.exited:
		return
	case <-time.After(stopGrace):
	}
	_ = c.command.Process.Kill()
	<-c.exited
}

// dialable waits until a server accepts connections on a socket; false if ctx or its process ends first, or too much time.
func dialable(ctx context.Context, socket string, exited <-chan struct{}) bool {
	deadline := time.After(startWait)
	for {
		if connection, err := net.Dial("unix", socket); err == nil {
			connection.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-exited:
			return false
		case <-deadline:
			log.Printf("nothing serves on %s after %s", socket, startWait)
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// backoff spaces restarts: 200 ms, doubled up to 5 s while the process does not live for 10 s.
type backoff struct {
	last  time.Duration
	began time.Time
}

func (b *backoff) begin() { b.began = time.Now() }

func (b *backoff) wait(ctx context.Context) {
	if b.last == 0 || time.Since(b.began) > 10*time.Second {
		b.last = 200 * time.Millisecond
	} else {
		b.last = min(2*b.last, 5*time.Second)
	}
	select {
	case <-ctx.Done():
	case <-time.After(b.last):
	}
}
