package main

// The two HTTPS servers: kubelet's (kube-apiserver calls it for exec and logs) and virt-handler's
// (pkg/virt-handler/rest/lifecycle.go; virt-api calls it for the VMI subresources).

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"

	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
)

// launcherWait is how long virt-handler awaits virt-launcher's answer; a freeze is awaited longer since 1.6.4, 1.7.2
// and 1.8 (Handler.freezeWait). The command goes on after that.
const launcherWait = 20 * time.Second

// await runs one virt-launcher command and puts its outcome in virt-handler's words
// (pkg/virt-handler/cmd-client/errors.go).
func await(wait time.Duration, command string, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("server error. command %s failed: %q", command, err.Error())
		}
		return nil
	case <-time.After(wait):
		return fmt.Errorf("unknown error encountered sending command %s: rpc error: code = DeadlineExceeded desc = context deadline exceeded", command)
	}
}

// listen opens a TLS server on addr whose clients must show a certificate of ca.
func listen(addr, cert, key, ca string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}), nil
}

func (k *Kubelet) mux() http.Handler {
	mux := http.NewServeMux()
	exec := func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		yes := func(name string) bool { return q.Get(name) == "1" || q.Get(name) == "true" }
		opts := &remotecommand.Options{Stdin: yes("input"), Stdout: yes("output"), Stderr: yes("error") && !yes("tty"), TTY: yes("tty")}
		name := r.PathValue("namespace") + "/" + r.PathValue("pod")
		if p := k.pod(name); p == nil || p.Status.Phase != corev1.PodRunning {
			http.Error(w, "pod is not running", http.StatusNotFound)
			return
		}
		remotecommand.ServeExec(w, r, k, name, "", r.PathValue("container"), q["command"], opts,
			4*time.Hour, 30*time.Second, remotecommandconsts.SupportedStreamingProtocols)
	}
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", exec)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("namespace") + "/" + r.PathValue("pod")
		if k.pod(name) == nil {
			http.Error(w, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, k.logs.get(name))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	return mux
}

func (h *Handler) mux() http.Handler {
	mux := http.NewServeMux()
	base := "/v1/namespaces/{namespace}/virtualmachineinstances/{name}/"
	// Every call needs a VMI that this node knows and a virt-launcher that answers.
	handle := func(pattern string, serve func(w http.ResponseWriter, r *http.Request, inst *instance)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			namespace, name := r.PathValue("namespace"), r.PathValue("name")
			inst := h.byName(namespace, name)
			if inst == nil {
				http.Error(w, fmt.Sprintf("VMI %s/%s does not exist", namespace, name), http.StatusNotFound)
				return
			}
			if inst.launcher == nil || !inst.booted() {
				http.Error(w, "No command socket found for vmi "+inst.uid, http.StatusInternalServerError)
				return
			}
			serve(w, r, inst)
		})
	}
	put := func(sub string, run func(r *http.Request, inst *instance) (int, error)) {
		handle("PUT "+base+sub, func(w http.ResponseWriter, r *http.Request, inst *instance) {
			code, err := run(r, inst)
			w.WriteHeader(code)
			if err != nil {
				io.WriteString(w, err.Error()) // bare text, as go-restful's WriteError
			}
		})
	}
	tell := func(inst *instance, kind, reason, message string) {
		if vmi := h.vmi(inst.namespace + "/" + inst.name); vmi != nil {
			h.record(vmi, kind, reason, message)
		}
	}
	put("freeze", func(r *http.Request, inst *instance) (int, error) {
		var body struct {
			UnfreezeTimeout *metav1.Duration `json:"unfreezeTimeout"`
		}
		if err := yaml.NewYAMLOrJSONDecoder(r.Body, 1024).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
			return http.StatusBadRequest, fmt.Errorf("failed to unmarshal unfreeze timeout")
		}
		if body.UnfreezeTimeout == nil {
			return http.StatusBadRequest, fmt.Errorf("Unfreeze timeout in freeze request is not set")
		}
		seconds := int32(body.UnfreezeTimeout.Seconds())
		if err := await(h.freezeWait(), "Freeze", func() error { return inst.launcher.Freeze(seconds, "virt-api") }); err != nil {
			tell(inst, corev1.EventTypeWarning, "FreezeError", "Failed to freeze VMI: "+err.Error())
			return http.StatusBadRequest, err
		}
		return http.StatusAccepted, nil
	})
	put("unfreeze", func(r *http.Request, inst *instance) (int, error) {
		if err := await(launcherWait, "Unfreeze", func() error { return inst.launcher.Unfreeze("virt-api") }); err != nil {
			return http.StatusBadRequest, err
		}
		return http.StatusAccepted, nil
	})
	put("pause", func(r *http.Request, inst *instance) (int, error) {
		inst.guest.Pause()
		tell(inst, corev1.EventTypeNormal, "Paused", "VirtualMachineInstance paused")
		return http.StatusAccepted, nil
	})
	put("unpause", func(r *http.Request, inst *instance) (int, error) {
		inst.guest.Unpause()
		tell(inst, corev1.EventTypeNormal, "Unpaused", "VirtualMachineInstance unpaused")
		return http.StatusAccepted, nil
	})
	put("reset", func(r *http.Request, inst *instance) (int, error) {
		if err := inst.guest.Reset(); err != nil {
			return http.StatusInternalServerError, err
		}
		tell(inst, corev1.EventTypeNormal, "Reset", "VirtualMachineInstance reset")
		return http.StatusAccepted, nil
	})
	put("softreboot", func(r *http.Request, inst *instance) (int, error) {
		inst.guest.Reboot()
		tell(inst, corev1.EventTypeNormal, "SoftRebooted", "VirtualMachineInstance soft rebooted")
		return http.StatusAccepted, nil
	})
	get := func(sub string, build func(inst *instance) any) {
		handle("GET "+base+sub, func(w http.ResponseWriter, r *http.Request, inst *instance) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(build(inst))
		})
	}
	get("guestosinfo", func(inst *instance) any { return inst.guestInfo() })
	get("userlist", func(inst *instance) any {
		return map[string]any{"metadata": map[string]any{}, "items": inst.users()}
	})
	get("filesystemlist", func(inst *instance) any {
		items := []any{}
		if inst.launcher.Cache().Known {
			items = inst.fileSystems()
		}
		return map[string]any{"metadata": map[string]any{}, "items": items}
	})
	return mux
}

// guestInfo is VirtualMachineInstanceGuestAgentInfo, all of it from the cached polls.
func (inst *instance) guestInfo() any {
	cache, state := inst.launcher.Cache(), inst.guest.State()
	info := map[string]any{"os": map[string]any{}, "fsInfo": map[string]any{"disks": nil}, "timezone": ", 0"}
	if cache.FSFreeze != "" {
		info["fsFreezeStatus"] = cache.FSFreeze
	}
	if cache.Known {
		info["guestAgentVersion"] = agentVersion
		info["supportedCommands"] = cache.Commands
		info["hostname"] = inst.name
		info["os"] = osInfo(state.Knobs)
		info["timezone"] = "UTC, 0"
		info["userList"] = inst.users()
		systems := inst.fileSystems()
		info["fsInfo"] = map[string]any{"disks": systems[:min(10, len(systems))]}
	}
	return info
}

func (inst *instance) users() []any {
	if !inst.launcher.Cache().Known {
		return []any{}
	}
	return []any{map[string]any{"userName": "operator", "loginTime": 1700000000.5}}
}

func serve(l net.Listener, handler http.Handler) {
	// HTTP/1.1 only: exec upgrades the connection.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fatal("serve %s: %v", l.Addr(), err)
	}
}
