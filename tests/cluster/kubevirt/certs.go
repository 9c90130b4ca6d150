package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

const namespace = "kubevirt"

// makeCerts makes KubeVirt's certificates with KubeVirt's own code (components/secrets.go), before there is a
// cluster: export-proxy's is signed by kubevirt-export-ca, all others by kubevirt-ca.
func makeCerts(dir string) error {
	duration := &metav1.Duration{Duration: 30 * 24 * time.Hour}
	cas := map[string]*tls.Certificate{}
	for _, secret := range components.NewCACertSecrets(namespace) {
		if err := components.PopulateSecretWithCertificate(secret, nil, duration); err != nil {
			return err
		}
		ca, err := components.LoadCertificates(secret)
		if err != nil {
			return err
		}
		cas[secret.Name] = ca
		if err := writeSecret(dir, secret); err != nil {
			return err
		}
	}
	for _, secret := range components.NewCertSecrets(namespace, namespace) {
		ca := cas[components.KubeVirtCASecretName]
		if secret.Name == components.VirtExportProxyCertSecretName {
			ca = cas[components.KubeVirtExportCASecretName]
		}
		if err := components.PopulateSecretWithCertificate(secret, ca, duration); err != nil {
			return err
		}
		if err := writeSecret(dir, secret); err != nil {
			return err
		}
	}
	return nil
}

func writeSecret(dir string, secret *corev1.Secret) error {
	dir = filepath.Join(dir, secret.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if err := os.WriteFile(filepath.Join(dir, key), secret.Data[key], 0o600); err != nil {
			return err
		}
	}
	return nil
}

func readSecret(dir string, secret *corev1.Secret) error {
	secret.Data = map[string][]byte{}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		data, err := os.ReadFile(filepath.Join(dir, secret.Name, key))
		if err != nil {
			return err
		}
		secret.Data[key] = data
	}
	return nil
}
