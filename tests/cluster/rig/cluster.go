package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settings are what `start` was asked for; the supervisor gets them as its own command line.
type settings struct {
	state    string // the cluster's folder, absolute
	bin      string // build/cluster/bin, absolute
	source   string // tests/cluster, absolute
	kubevirt string // version, without the v
	gates    string // feature gates to turn on, separated by commas
	without  string // feature gates to turn off
	parent   int    // the cluster ends when this process ends
	patience time.Duration
}

// cluster is one running control plane and its supervisor's view of it.
type cluster struct {
	settings
	pki       *pki
	processes *processes
	port      struct{ etcd, etcdPeer, apiserver, controllerManager, scheduler, virtAPI, virtController, kubelet, handler int }
	claim     net.Listener
	http      *http.Client // as user rig
}

func (c *cluster) in(parts ...string) string {
	return filepath.Join(append([]string{c.state}, parts...)...)
}
func (c *cluster) server() string { return fmt.Sprintf("https://127.0.0.1:%d", c.port.apiserver) }
func (c *cluster) secret(name, file string) string {
	return c.in("kubevirt-certs", name, file)
}

// up starts everything in order and returns when it is ready. what is told each step.
func (c *cluster) up(ctx context.Context, what func(string)) error {
	first, claim, err := claimPorts()
	if err != nil {
		return err
	}
	c.claim = claim
	for n, port := range []*int{&c.port.etcd, &c.port.etcdPeer, &c.port.apiserver, &c.port.controllerManager, &c.port.scheduler,
		&c.port.virtAPI, &c.port.virtController, &c.port.kubelet, &c.port.handler} {
		*port = first + n
	}
	steps := []struct {
		text string
		do   func(context.Context) error
	}{
		{"certificates", c.identities},
		{"etcd, kube-apiserver", c.startServers},
		{"KubeVirt's certificates", c.kubeVirtCerts},
		{"waiting for kube-apiserver", c.waitServers},
		{"CRDs, roles, webhooks of KubeVirt " + c.kubevirt, c.installKubeVirt},
		{"node, storage, virt-api, virt-controller", c.startRest},
		{"waiting until all are ready", c.waitReady},
	}
	for _, step := range steps {
		what(step.text)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.text, err)
		}
	}
	return nil
}

func (c *cluster) identities(context.Context) error {
	p, err := newPKI(c.in("pki"))
	if err != nil {
		return err
	}
	c.pki = p
	for _, ca := range []string{"ca", "front-proxy-ca"} {
		if err := p.ca(ca); err != nil {
			return err
		}
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "10.96.0.1"}
	serviceAccounts := []string{"system:serviceaccounts", "system:serviceaccounts:kubevirt"}
	// Service accounts by client certificate: RBAC and KubeVirt's webhooks compare the user name only.
	for _, l := range []leaf{
		{name: "apiserver", cn: "kube-apiserver", server: true, sans: names},
		{name: "apiserver-expired", cn: "kube-apiserver", server: true, sans: names, expired: true},
		{name: "kubelet", cn: "system:node:node01", orgs: []string{"system:nodes"}, server: true, sans: []string{"node01", "127.0.0.1"}},
		{name: "apiserver-kubelet-client", cn: "kube-apiserver-kubelet-client", orgs: []string{"system:masters"}},
		{name: "front-proxy-client", ca: "front-proxy-ca", cn: "front-proxy-client"},
		{name: "admin", cn: "admin", orgs: []string{"system:masters"}},
		{name: "rig", cn: "rig", orgs: []string{"system:masters"}}, // ours, so that admin's requests are the tests' only
		{name: "admin-expired", cn: "admin", orgs: []string{"system:masters"}, expired: true},
		{name: "kube-controller-manager", cn: "system:kube-controller-manager"},
		{name: "kube-scheduler", cn: "system:kube-scheduler"},
		{name: "rig-node", cn: "rig-node"},
		{name: "virt-api", cn: "system:serviceaccount:kubevirt:kubevirt-apiserver", orgs: serviceAccounts},
		{name: "virt-controller", cn: "system:serviceaccount:kubevirt:kubevirt-controller", orgs: serviceAccounts},
	} {
		if err := p.leaf(l); err != nil {
			return err
		}
	}
	if err := p.serviceAccountKey(); err != nil {
		return err
	}
	for _, client := range []string{"kube-controller-manager", "kube-scheduler", "rig", "rig-node", "virt-api", "virt-controller"} {
		if err := p.kubeconfig(c.in("pki", client+".kubeconfig"), c.server(), client, client, ""); err != nil {
			return err
		}
	}
	if err := p.kubeconfig(c.in("kubeconfig"), c.server(), "admin", "admin", ""); err != nil {
		return err
	}
	if err := p.kubeconfig(c.in("kubeconfig-expired"), c.server(), "admin", "admin-expired", ""); err != nil {
		return err
	}
	return c.makeTokens()
}

// makeTokens writes tokens.csv (what kube-apiserver reads) and a kubeconfig for each user of it.
func (c *cluster) makeTokens() error {
	var csv strings.Builder
	for _, user := range []struct{ name, group string }{
		{"admin", "system:masters"}, {"editor", ""}, {"viewer", ""}, {"developer", ""},
	} {
		token := fmt.Sprintf("%s-%x", user.name, serial())
		fmt.Fprintf(&csv, "%s,%s,%s", token, user.name, user.name)
		if user.group != "" {
			fmt.Fprintf(&csv, ",%q", user.group)
		}
		fmt.Fprintln(&csv)
		file := c.in("kubeconfig-" + user.name)
		if user.name == "admin" {
			file = c.in("kubeconfig-admin-token")
		}
		if err := c.pki.kubeconfig(file, c.server(), user.name, "", token); err != nil {
			return err
		}
	}
	return os.WriteFile(c.in("pki", "tokens.csv"), []byte(csv.String()), 0o600)
}

func (c *cluster) kube(name string, args ...string) command {
	return command{name: name, argv: append([]string{filepath.Join(c.bin, "rig-kube"), name}, args...)}
}

func (c *cluster) startServers(context.Context) error {
	p := c.pki.path
	if err := c.processes.start(c.kube("etcd",
		"--data-dir", c.in("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		fmt.Sprintf("--listen-client-urls=http://127.0.0.1:%d", c.port.etcd), fmt.Sprintf("--advertise-client-urls=http://127.0.0.1:%d", c.port.etcd),
		fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", c.port.etcdPeer), fmt.Sprintf("--initial-advertise-peer-urls=http://127.0.0.1:%d", c.port.etcdPeer),
		fmt.Sprintf("--initial-cluster=default=http://127.0.0.1:%d", c.port.etcdPeer),
	)); err != nil {
		return err
	}
	return c.processes.start(c.kube("kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", c.port.etcd),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port.apiserver),
		"--endpoint-reconciler-type=none", // a loopback address is refused as endpoint
		"--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true", "--authorization-mode=Node,RBAC",
		"--token-auth-file="+p("tokens.csv"), "--client-ca-file="+p("ca.crt"),
		"--tls-cert-file="+p("apiserver.crt"), "--tls-private-key-file="+p("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+p("sa.pub"), "--service-account-signing-key-file="+p("sa.key"),
		"--enable-aggregator-routing=false", // so that the ExternalName service of virt-api is followed
		"--requestheader-client-ca-file="+p("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+p("front-proxy-client.crt"), "--proxy-client-key-file="+p("front-proxy-client.key"),
		"--kubelet-client-certificate="+p("apiserver-kubelet-client.crt"), "--kubelet-client-key="+p("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority="+p("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--audit-log-path="+c.in("audit.jsonl"), "--audit-policy-file="+c.in("audit-policy.yaml"),
	))
}

// auditPolicy logs who changed what, so that a test can count requests and see their order; without bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler]
- level: None
  userGroups: [system:serviceaccounts]
- level: Metadata
  users: [admin, editor, viewer, developer]
`

func (c *cluster) kubeVirtBin(name string) string { return filepath.Join(c.bin, c.kubevirt, name) }

func (c *cluster) kubeVirtCerts(context.Context) error {
	if err := c.processes.run(command{name: "kubevirt-certs", argv: []string{c.kubeVirtBin("rig-kubevirt"), "certs", c.in("kubevirt-certs")}}); err != nil {
		return err
	}
	// virt-api spends seconds of CPU before its main: let it do that now. It goes on when the file appears.
	return c.processes.start(command{
		name: "virt-api", restart: true, env: []string{"RIG_START_FILE=" + c.in("tmp", "installed")},
		argv: []string{c.kubeVirtBin("virt-api"),
			"--kubeconfig=" + c.pki.path("virt-api.kubeconfig"), "--listen=127.0.0.1", fmt.Sprintf("--port=%d", c.port.virtAPI),
			fmt.Sprintf("--console-server-port=%d", c.port.handler),
			"--tls-cert-file=" + c.secret("kubevirt-virt-api-certs", "tls.crt"), "--tls-key-file=" + c.secret("kubevirt-virt-api-certs", "tls.key"),
			"--handler-cert-file=" + c.secret("kubevirt-virt-handler-certs", "tls.crt"), "--handler-key-file=" + c.secret("kubevirt-virt-handler-certs", "tls.key"),
		},
	})
}

func (c *cluster) waitServers(ctx context.Context) error {
	pem, err := os.ReadFile(c.pki.path("ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	identity, err := tls.LoadX509KeyPair(c.pki.path("rig.crt"), c.pki.path("rig.key"))
	if err != nil {
		return err
	}
	c.http = &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{identity}}},
	}
	if err := c.wait(ctx, "kube-apiserver", func() error { return c.get(c.server()+"/readyz", nil) }); err != nil {
		return err
	}
	for _, server := range []command{
		c.kube("kube-controller-manager", fmt.Sprintf("--secure-port=%d", c.port.controllerManager), "--use-service-account-credentials=true",
			"--service-account-private-key-file="+c.pki.path("sa.key"), "--root-ca-file="+c.pki.path("ca.crt")),
		c.kube("kube-scheduler", fmt.Sprintf("--secure-port=%d", c.port.scheduler)),
	} {
		kubeconfig := c.in("pki", server.name+".kubeconfig")
		server.argv = append(server.argv, "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
			"--bind-address=127.0.0.1", "--cert-dir="+c.in("tmp", server.name), "--leader-elect=false")
		if err := c.processes.start(server); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) installKubeVirt(context.Context) error {
	err := c.processes.run(command{name: "install", argv: []string{c.kubeVirtBin("rig-kubevirt"), "install",
		"--kubeconfig=" + c.pki.path("rig.kubeconfig"), "--certs=" + c.in("kubevirt-certs"), "--version=" + c.kubevirt,
		"--crds=" + filepath.Join(c.bin, "storage-crds.yaml") + "," + filepath.Join(c.bin, "cdi-crds"),
		"--manifests=" + filepath.Join(c.source, "storage", "classes.yaml"), "--gates=" + c.gates, "--without-gates=" + c.without,
		fmt.Sprintf("--virt-api-port=%d", c.port.virtAPI),
	}})
	if err != nil {
		return err
	}
	return os.WriteFile(c.in("tmp", "installed"), nil, 0o644)
}

func (c *cluster) startRest(ctx context.Context) error {
	for _, start := range []func() error{c.startNode, c.startStorage, c.startVirtController} {
		if err := start(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) startVirtController() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.processes.start(command{
		name: "virt-controller", restart: true, mountNS: true,
		argv: []string{self, "with-etc", c.in("tmp", "virt-controller-etc"), c.in("kubevirt-certs"),
			c.kubeVirtBin("rig-kubevirt"), "virt-controller",
			"--kubeconfig=" + c.pki.path("virt-controller.kubeconfig"), "--listen=127.0.0.1", fmt.Sprintf("--port=%d", c.port.virtController),
			"--launcher-image=registry.invalid/kubevirt/virt-launcher:v" + c.kubevirt, "--exporter-image=registry.invalid/kubevirt/virt-exportserver:v" + c.kubevirt,
			"--prom-cert-file=" + c.secret("kubevirt-controller-certs", "tls.crt"), "--prom-key-file=" + c.secret("kubevirt-controller-certs", "tls.key"),
		},
	})
}

func (c *cluster) startNode() error {
	return c.processes.start(command{name: "node", argv: []string{filepath.Join(c.bin, "node"), "run",
		"--state", c.state, "--kubeconfig", c.pki.path("rig-node.kubeconfig"),
		"--kubelet-listen", fmt.Sprintf("127.0.0.1:%d", c.port.kubelet),
		"--kubelet-cert", c.pki.path("kubelet.crt"), "--kubelet-key", c.pki.path("kubelet.key"), "--kubelet-client-ca", c.pki.path("ca.crt"),
		"--handler-listen", fmt.Sprintf("127.0.0.1:%d", c.port.handler),
		"--handler-cert", c.secret("kubevirt-virt-handler-server-certs", "tls.crt"), "--handler-key", c.secret("kubevirt-virt-handler-server-certs", "tls.key"),
		"--handler-client-ca", c.secret("kubevirt-ca", "tls.crt"),
		"--ready-file", c.in("tmp", "node-ready"),
	}})
}

func (c *cluster) startStorage() error {
	return c.processes.start(command{name: "storage", argv: []string{filepath.Join(c.bin, "vmbackup-csi"), "run-all",
		"--state", c.state, "--kubeconfig", c.pki.path("rig.kubeconfig"), "--bin", c.bin}})
}

func (c *cluster) storageReady() error {
	text, err := os.ReadFile(c.processes.log("storage"))
	if err == nil && !strings.Contains("\n"+string(text), "\nready\n") {
		err = errors.New("it has not said ready")
	}
	return err
}

func (c *cluster) waitReady(ctx context.Context) error {
	if err := c.wait(ctx, "node", c.nodeReady); err != nil {
		return err
	}
	if err := c.wait(ctx, "storage", c.storageReady); err != nil {
		return err
	}
	if err := c.wait(ctx, "virt-api", func() error { return c.apiServiceAvailable("v1.subresources.kubevirt.io") }); err != nil {
		return err
	}
	return c.wait(ctx, "virt-controller", c.virtControllerLeads)
}

type condition struct{ Type, Status, Reason, Message string }

func holds(list []condition, kind string) error {
	for _, condition := range list {
		if condition.Type == kind {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("%s is %s: %s %s", kind, condition.Status, condition.Reason, condition.Message)
		}
	}
	return fmt.Errorf("no condition %s yet", kind)
}

func (c *cluster) nodeReady() error {
	if _, err := os.Stat(c.in("tmp", "node-ready")); err != nil {
		return err
	}
	var nodes struct {
		Items []struct {
			Status struct{ Conditions []condition }
		}
	}
	if err := c.get(c.server()+"/api/v1/nodes", &nodes); err != nil {
		return err
	}
	if len(nodes.Items) == 0 {
		return errors.New("there is no Node")
	}
	return holds(nodes.Items[0].Status.Conditions, "Ready")
}

func (c *cluster) apiServiceAvailable(name string) error {
	var service struct {
		Status struct{ Conditions []condition }
	}
	if err := c.get(c.server()+"/apis/apiregistration.k8s.io/v1/apiservices/"+name, &service); err != nil {
		return err
	}
	return holds(service.Status.Conditions, "Available")
}

func (c *cluster) virtControllerLeads() error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // its certificate names a pod; this is loopback
	}}
	answer, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/leader", c.port.virtController))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(strings.Fields(string(body)), ""), `"leader":"true"`) {
		return fmt.Errorf("it does not lead: %s", body)
	}
	return nil
}

// get reads url as user rig and decodes the answer into out, unless out is nil.
func (c *cluster) get(url string, out any) error {
	answer, err := c.http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.200s", url, answer.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// wait asks again and again until ready says so, a program ends, or ctx does. program is the one whose log would tell.
func (c *cluster) wait(ctx context.Context, program string, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if failed := c.processes.failed(); failed != nil {
			return failed
		}
		select {
		case <-ctx.Done():
			return &programError{program, fmt.Errorf("%w; not ready: %w", context.Cause(ctx), err)}
		case <-time.After(50 * time.Millisecond):
		}
	}
}
