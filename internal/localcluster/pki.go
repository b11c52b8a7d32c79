package localcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	certLifetime = 365 * 24 * time.Hour
	// renewBefore is when a start makes a new certificate in place of one that ends soon.
	renewBefore = 30 * 24 * time.Hour
)

// Identity is whom the API server takes the holder of a client certificate for.
type Identity struct {
	User   string
	Groups []string
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// pem is the certificate, for those who verify.
	pem []byte
}

// authority loads the certificate authority of this name, and makes it the first time. It is never replaced: every
// kubeconfig ever written names it.
func (f folder) authority(name string, now time.Time) (*authority, error) {
	certPath, keyPath := f.path("pki", name+".crt"), f.path("pki", name+".key")
	certPEM, err := os.ReadFile(certPath)
	if errors.Is(err, os.ErrNotExist) {
		return newAuthority(name, certPath, keyPath, now)
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	key, err := readKey(keyPath)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: certPEM}, nil
}

func newAuthority(name, certPath, keyPath string, now time.Time) (*authority, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "bulkhead local " + name},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	self := &authority{cert: template, key: key}
	cert, certPEM, err := self.sign(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	// The key first: a certificate without its key would be taken for complete at the next start.
	if err := writeFile(keyPath, keyPEM); err != nil {
		return nil, err
	}
	if err := writeFile(certPath, certPEM); err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: certPEM}, nil
}

func (a *authority) sign(template *x509.Certificate, public *ecdsa.PublicKey) (*x509.Certificate, []byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("choose serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("parse the certificate just signed: %w", err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// issue makes a certificate, and its key, for this identity: for servers on 127.0.0.1 too when names are given.
func (a *authority) issue(id Identity, names []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.User, Organization: id.Groups},
		NotBefore:   now.Add(-time.Minute),
		NotAfter:    now.Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(names) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.DNSNames = names
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	_, certPEM, err = a.sign(template, &key.PublicKey)
	return certPEM, keyPEM, err
}

// good reports whether a certificate was signed by this authority for this identity and lasts long enough.
func (a *authority) good(certPEM []byte, id Identity, now time.Time) bool {
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return false
	}
	got, want := slices.Sorted(slices.Values(cert.Subject.Organization)), slices.Sorted(slices.Values(id.Groups))
	return cert.CheckSignatureFrom(a.cert) == nil && cert.Subject.CommonName == id.User && slices.Equal(got, want) &&
		now.Add(renewBefore).Before(cert.NotAfter)
}

// keyPair puts a certificate and its key into pki/NAME.crt and .key unless good ones are there.
func (f folder) keyPair(a *authority, name string, id Identity, names []string, now time.Time) error {
	certPath, keyPath := f.path("pki", name+".crt"), f.path("pki", name+".key")
	if old, err := os.ReadFile(certPath); err == nil && a.good(old, id, now) {
		return nil
	}
	certPEM, keyPEM, err := a.issue(id, names, now)
	if err != nil {
		return err
	}
	if err := writeFile(keyPath, keyPEM); err != nil {
		return err
	}
	return writeFile(certPath, certPEM)
}

// signingKey makes the key of service account tokens the first time.
func (f folder) signingKey() error {
	path := f.path("pki", "service-accounts.key")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	return writeFile(path, keyPEM)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make private key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no private key", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("holds no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
