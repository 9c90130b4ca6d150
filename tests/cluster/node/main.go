// Command node plays the one node of a test cluster: kubelet, virt-handler, virt-launcher and the guest inside,
// and the few transitions of CDI that KubeVirt needs. Everything above it (API server, controllers, virt-api,
// virt-controller, CSI sidecars) is the real thing. It knows no KubeVirt types, so one binary serves all versions.
//
//	node run  flags...                      the stand-in; ends with its parent
//	node check-disks DIR...                 verdict on copies of a guest's disks, in disk order, as one line of JSON:
//	                                        {"verdict":"clean|crash|torn|empty","last":[..],"mark":[..],"reasons":[..],"disks":[..]};
//	                                        "-" stands for a disk of which there is no copy
//	node check-snapshot flags NAMESPACE VMSNAPSHOT
//	                                        the same for the volumes of a VirtualMachineSnapshot
//
// Flags of `node run`:
//
//	--state DIR                the cluster's state folder: node-events.jsonl is written there, volumes/ is read (required)
//	--kubeconfig FILE          an identity that may impersonate (default STATE/kubeconfig)
//	--node NAME                name of the Node object (default node01)
//	--kubelet-listen ADDR      kubelet API (exec, containerLogs), HTTPS; port 0 = any free port (default 127.0.0.1:0);
//	                           the port is published in the Node's status.daemonEndpoints
//	--kubelet-cert, --kubelet-key FILE      its server certificate (signed by the cluster CA)
//	--kubelet-client-ca FILE   CA of kube-apiserver's client certificate
//	--handler-listen ADDR      virt-handler API, HTTPS; port 0 = any free port (default 127.0.0.1:0); virt-api
//	                           must get the same port as --console-server-port
//	--handler-cert, --handler-key FILE      its server certificate (secret kubevirt-virt-handler-server-certs)
//	--handler-client-ca FILE   kubevirt-ca, which signed virt-api's client certificate
//	--kubevirt-namespace NS    where KubeVirt is installed (default kubevirt)
//	--ready-file FILE          written (atomically) once both servers listen and the Node and the virt-handler pod
//	                           exist: {"kubeletPort":N,"handlerPort":N,"pid":N}
//	--tick D                   pace of the guests' journal (default 10ms)
//	--parent-death=BOOL        end when the process that started this one ends (default true)
//	--watch-pid PID            end when that process ends (default 0: none)
//	--cdi=BOOL                 play CDI (default true)
//
// Flags of `node check-snapshot`: --state DIR (required), --kubeconfig FILE (default STATE/kubeconfig).
//
// Exit codes: 0 done (whatever the verdict), 1 failed, 2 wrong usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "node: "+format+"\n", args...)
	os.Exit(1)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: node run --state DIR ... | node check-disks DIR... | node check-snapshot --state DIR NAMESPACE VMSNAPSHOT")
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch command, args := os.Args[1], os.Args[2:]; command {
	case "run":
		run(args)
	case "check-disks":
		if len(args) == 0 {
			usage()
		}
		printVerdict(args)
	case "check-snapshot":
		checkSnapshot(args)
	default:
		usage()
	}
}

func printVerdict(paths []string) {
	for _, path := range paths {
		if path == "-" {
			continue
		}
		if info, err := os.Stat(path); err != nil {
			fatal("%v", err)
		} else if !info.IsDir() {
			fatal("%s is not a directory", path)
		}
	}
	out := struct {
		Verdict
		Disks []string `json:"disks"`
	}{CheckDisks(paths), paths}
	b, err := json.Marshal(out)
	if err != nil {
		fatal("%v", err)
	}
	fmt.Println(string(b))
}

func loadConfig(kubeconfig, state string) *rest.Config {
	if kubeconfig == "" {
		kubeconfig = filepath.Join(state, "kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		fatal("%v", err)
	}
	config.QPS, config.Burst = 400, 800
	config.UserAgent = "node-stand-in"
	return config
}

func checkSnapshot(args []string) {
	flags := flag.NewFlagSet("check-snapshot", flag.ExitOnError)
	state := flags.String("state", "", "state folder of the cluster")
	kubeconfig := flags.String("kubeconfig", "", "default STATE/kubeconfig")
	flags.Parse(args)
	if *state == "" || flags.NArg() != 2 {
		usage()
	}
	client, err := dynamic.NewForConfig(loadConfig(*kubeconfig, *state))
	if err != nil {
		fatal("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	paths, err := snapshotDisks(ctx, client, *state, flags.Arg(0), flags.Arg(1))
	if err != nil {
		fatal("%v", err)
	}
	printVerdict(paths)
}

// endWith makes this process end when its parent or the process pid does.
func endWith(parent bool, pid int) {
	if parent {
		starter := os.Getppid()
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0); err != nil {
			fatal("prctl: %v", err)
		}
		go func() { // in case it ended before the line above
			for os.Getppid() == starter {
				time.Sleep(time.Second)
			}
			os.Exit(0)
		}()
	}
	if pid > 0 {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			fatal("watch pid %d: %v", pid, err)
		}
		go func() {
			for {
				n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
				if n > 0 || (err != nil && err != unix.EINTR) {
					os.Exit(0)
				}
			}
		}()
	}
}

func run(args []string) {
	runtime.LockOSThread() // PR_SET_PDEATHSIG belongs to the thread that sets it
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	state := flags.String("state", "", "state folder of the cluster")
	kubeconfig := flags.String("kubeconfig", "", "default STATE/kubeconfig")
	name := flags.String("node", "node01", "name of the Node")
	kubeletListen := flags.String("kubelet-listen", "127.0.0.1:0", "address of the kubelet API")
	kubeletCert := flags.String("kubelet-cert", "", "its server certificate")
	kubeletKey := flags.String("kubelet-key", "", "its key")
	kubeletCA := flags.String("kubelet-client-ca", "", "CA of its clients")
	handlerListen := flags.String("handler-listen", "127.0.0.1:0", "address of the virt-handler API")
	handlerCert := flags.String("handler-cert", "", "its server certificate")
	handlerKey := flags.String("handler-key", "", "its key")
	handlerCA := flags.String("handler-client-ca", "", "CA of its clients")
	namespace := flags.String("kubevirt-namespace", "kubevirt", "where KubeVirt is installed")
	readyFile := flags.String("ready-file", "", "written once all is up")
	pace := flags.Duration("tick", 10*time.Millisecond, "pace of the guests' journal")
	parentDeath := flags.Bool("parent-death", true, "end with the parent")
	watchPID := flags.Int("watch-pid", 0, "end with that process")
	playCDI := flags.Bool("cdi", true, "play CDI")
	flags.Parse(args)
	for flagName, value := range map[string]string{"state": *state, "kubelet-cert": *kubeletCert, "kubelet-key": *kubeletKey, "kubelet-client-ca": *kubeletCA,
		"handler-cert": *handlerCert, "handler-key": *handlerKey, "handler-client-ca": *handlerCA} {
		if value == "" {
			fmt.Fprintf(os.Stderr, "node run: --%s is missing\n", flagName)
			os.Exit(2)
		}
	}
	if flags.NArg() > 0 || *pace <= 0 {
		usage()
	}
	endWith(*parentDeath, *watchPID)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	config := loadConfig(*kubeconfig, *state)
	asHandler := rest.CopyConfig(config)
	asHandler.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + *namespace + ":kubevirt-handler",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + *namespace, "system:authenticated"},
		// From 1.9 on virt-api's admission checks the node behind virt-handler.
		Extra: map[string][]string{"authentication.kubernetes.io/node-name": {*name}},
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		fatal("%v", err)
	}
	admin, err := dynamic.NewForConfig(config)
	if err != nil {
		fatal("%v", err)
	}
	vmiClient, err := dynamic.NewForConfig(asHandler)
	if err != nil {
		fatal("%v", err)
	}
	events, err := openEventLog(filepath.Join(*state, "node-events.jsonl"))
	if err != nil {
		fatal("%v", err)
	}
	kubeletServer, err := listen(*kubeletListen, *kubeletCert, *kubeletKey, *kubeletCA)
	if err != nil {
		fatal("kubelet API: %v", err)
	}
	handlerServer, err := listen(*handlerListen, *handlerCert, *handlerKey, *handlerCA)
	if err != nil {
		fatal("virt-handler API: %v", err)
	}
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

	pods := cache.NewSharedIndexInformer(cache.NewListWatchFromClient(core.CoreV1().RESTClient(), "pods", metav1.NamespaceAll,
		fields.OneTermEqualSelector("spec.nodeName", *name)), &corev1.Pod{}, 0, cache.Indexers{"launcher": indexLauncher})
	custom := dynamicinformer.NewDynamicSharedInformerFactory(admin, 0)
	vmis := custom.ForResource(vmiResource).Informer()

	kubelet := &Kubelet{node: *name, namespace: *namespace, port: int32(port(kubeletServer)), core: core, pods: pods, queue: newQueue(), events: events}
	handler := &Handler{node: *name, namespace: *namespace, state: *state, pace: *pace, events: events, core: core, admin: admin, vmiClient: vmiClient,
		vmis: vmis, queue: newQueue(), kubelet: kubelet, byUID: map[string]*instance{}}
	kubelet.handler = handler
	pods.AddEventHandler(enqueue(kubelet.queue))
	vmis.AddEventHandler(enqueue(handler.queue))
	synced := []cache.InformerSynced{pods.HasSynced, vmis.HasSynced}
	var cdi *CDI
	shared := informers.NewSharedInformerFactory(core, 0)
	if *playCDI {
		cdi = &CDI{core: core, dynamic: admin, dvs: custom.ForResource(dataVolumeResource).Informer(), claims: shared.Core().V1().PersistentVolumeClaims().Informer(), queue: newQueue()}
		cdi.dvs.AddEventHandler(enqueue(cdi.queue))
		cdi.claims.AddEventHandler(enqueue(cdi.queue))
		synced = append(synced, cdi.dvs.HasSynced, cdi.claims.HasSynced)
	}
	custom.Start(ctx.Done())
	shared.Start(ctx.Done())
	go pods.Run(ctx.Done())
	go serve(kubeletServer, kubelet.mux())
	go serve(handlerServer, handler.mux())
	go handler.learnVersion(ctx)
	made := make(chan struct{})
	go kubelet.keepNode(ctx, func() { close(made) })
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return
	}
	for range 8 {
		go work(kubelet.queue, "pod", kubelet.reconcile)
		go work(handler.queue, "vmi", handler.reconcile)
	}
	if cdi != nil {
		for range 2 {
			go work(cdi.queue, "datavolume", cdi.reconcile)
		}
	}
	select {
	case <-made:
	case <-ctx.Done():
		return
	}
	if err := kubelet.keepHandlerPod(ctx); err != nil {
		return
	}
	log.Printf("node %s is up: kubelet %s, virt-handler %s", *name, kubeletServer.Addr(), handlerServer.Addr())
	if *readyFile != "" {
		b, _ := json.Marshal(map[string]int{"kubeletPort": port(kubeletServer), "handlerPort": port(handlerServer), "pid": os.Getpid()})
		if err := os.WriteFile(*readyFile+".new", append(b, '\n'), 0o644); err != nil {
			fatal("%v", err)
		}
		if err := os.Rename(*readyFile+".new", *readyFile); err != nil {
			fatal("%v", err)
		}
	}
	<-ctx.Done()
}
