package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki makes the certificates of one cluster and writes them as NAME.crt and NAME.key below dir.
// The keys of both CAs stay there, so that a test can mint what it needs.
type pki struct {
	dir string
	cas map[string]*authority
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(dir string) (*pki, error) {
	return &pki{dir: dir, cas: map[string]*authority{}}, os.MkdirAll(dir, 0o700)
}

func (p *pki) path(file string) string { return filepath.Join(p.dir, file) }

func (p *pki) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(p.path(name+".crt"), crt, 0o644); err != nil {
		return err
	}
	return os.WriteFile(p.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), 0o600)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return n
}

// ca makes a self-signed authority.
func (p *pki) ca(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "vmbackup-rig-" + name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	p.cas[name] = &authority{cert, key}
	return p.write(name, der, key)
}

type leaf struct {
	name    string
	ca      string // "ca" unless set
	cn      string
	orgs    []string
	server  bool     // server certificate; else client
	sans    []string // names and addresses, for a server
	expired bool     // ended an hour ago
}

func (p *pki) leaf(l leaf) error {
	if l.ca == "" {
		l.ca = "ca"
	}
	ca := p.cas[l.ca]
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: l.cn, Organization: l.orgs},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(364 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if l.expired {
		t.NotBefore, t.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	if l.server {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, s := range l.sans {
		if ip := net.ParseIP(s); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, s)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	return p.write(l.name, der, key)
}

// serviceAccountKey writes sa.key (RSA, what kube-controller-manager signs tokens with) and sa.pub.
func (p *pki) serviceAccountKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path("sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o644); err != nil {
		return err
	}
	raw := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return os.WriteFile(p.path("sa.key"), raw, 0o600)
}

// kubeconfig writes a kubeconfig that holds everything inline: the identity is a client certificate of this pki
// (clientCert) or a token.
func (p *pki) kubeconfig(file, server, user, clientCert, token string) error {
	inline := func(name string) (string, error) {
		raw, err := os.ReadFile(p.path(name))
		return base64.StdEncoding.EncodeToString(raw), err
	}
	ca, err := inline("ca.crt")
	if err != nil {
		return err
	}
	identity := fmt.Sprintf("    token: %s\n", token)
	if clientCert != "" {
		crt, err := inline(clientCert + ".crt")
		if err != nil {
			return err
		}
		key, err := inline(clientCert + ".key")
		if err != nil {
			return err
		}
		identity = fmt.Sprintf("    client-certificate-data: %s\n    client-key-data: %s\n", crt, key)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: rig
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
%scontexts:
- name: rig
  context:
    cluster: rig
    user: %s
    namespace: default
current-context: rig
`, server, ca, user, identity, user)
	return os.WriteFile(file, []byte(text), 0o600)
}
