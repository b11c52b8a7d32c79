package localcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// folder is the data folder of one cluster. Everything that a cluster is lies in it, so two folders are two clusters,
// and removing the folder removes the cluster.
type folder string

func (f folder) path(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

// AdminKubeconfig is the path of the administrator's kubeconfig in the data folder dir.
func AdminKubeconfig(dir string) string { return folder(dir).path("admin.kubeconfig") }

func (f folder) log(name string) string     { return f.path("logs", name+".log") }
func (f folder) pidFile(name string) string { return f.path("run", name+".pid") }
func (f folder) kubeconfig(component string) string {
	return f.path("components", component+".kubeconfig")
}

// create makes the folder and its parts, readable for their owner only: they hold private keys.
func (f folder) create() error {
	for _, part := range []string{"", "pki", "logs", "run", "components", "owners"} {
		if err := os.MkdirAll(f.path(part), 0o700); err != nil {
			return fmt.Errorf("create the data folder: %w", err)
		}
	}
	// Keys must not end up in a repository that the folder happens to lie in.
	if err := os.WriteFile(f.path(".gitignore"), []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("create the data folder: %w", err)
	}
	return nil
}

// RunningError reports that a cluster runs in the folder already.
type RunningError struct {
	Dir string
	// PID of the process that runs it; 0 when it could not be read.
	PID int
}

// Error reports who holds the folder and how to end it.
func (e *RunningError) Error() string {
	return fmt.Sprintf("a cluster is running in %s already (process %d): end it with Ctrl-C there or with `bulkhead down --dir %s`, "+
		"or start another one with --dir", e.Dir, e.PID, e.Dir)
}

// lock takes the folder for this process until the returned file is closed, or the process is gone. It returns a
// *RunningError when another process has it.
func (f folder) lock() (*os.File, error) {
	file, err := os.OpenFile(f.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := lockFile(file); err != nil {
		_ = file.Close() // the error that counts is the one above
		if errors.Is(err, errLocked) {
			return nil, &RunningError{Dir: string(f), PID: f.holder()}
		}
		return nil, fmt.Errorf("lock %s: %w", f.path("lock"), err)
	}
	if err := f.sign(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// sign writes this process's id into the lock, for `bulkhead down` and for the message above.
func (f folder) sign(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", lock.Name(), err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write %s: %w", lock.Name(), err)
	}
	return nil
}

// holder is the id written in the lock, or 0.
func (f folder) holder() int {
	text, err := os.ReadFile(f.path("lock"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// ports of one cluster, all on 127.0.0.1. They stay the same for the life of the folder.
type ports struct {
	APIServer         int `json:"apiServer"`
	Kubelet           int `json:"kubelet"`
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
	Controller        int `json:"controller"`
}

func (p *ports) all() []*int {
	return []*int{&p.APIServer, &p.Kubelet, &p.Etcd, &p.EtcdPeer, &p.ControllerManager, &p.Scheduler, &p.Controller}
}

// loadPorts reads the folder's ports, and chooses and records free ones the first time.
func (f folder) loadPorts() (ports, error) {
	var p ports
	path := f.path("ports.json")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &p); err != nil {
			return p, fmt.Errorf("%s is damaged (%w): remove the folder to start again", path, err)
		}
		return p, p.checkFree(string(f))
	case !errors.Is(err, os.ErrNotExist):
		return p, fmt.Errorf("read the ports: %w", err)
	}
	if err := p.choose(); err != nil {
		return p, err
	}
	if data, err = json.MarshalIndent(p, "", "  "); err != nil {
		return p, fmt.Errorf("encode the ports: %w", err)
	}
	if err := writeFile(path, data); err != nil {
		return p, err
	}
	return p, nil
}

// Ports are chosen below the range from which systems take those of outgoing connections (32768 on Linux, 49152
// elsewhere): there they would be busy by chance at the next start.
const firstPort, lastPort = 16000, 29999

func (p *ports) choose() error {
	taken := map[int]bool{}
	for _, port := range p.all() {
		for attempt := 0; *port == 0; attempt++ {
			if attempt == 1000 {
				return fmt.Errorf("no free port found on 127.0.0.1 between %d and %d", firstPort, lastPort)
			}
			candidate := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // a port is no secret
			if !taken[candidate] && isFree(candidate) {
				*port, taken[candidate] = candidate, true
			}
		}
	}
	return nil
}

// freeing is how long a port may stay in use after the process that had it has ended.
const freeing = 3 * time.Second

func (p *ports) checkFree(dir string) error {
	deadline := time.Now().Add(freeing)
	for _, port := range p.all() {
		for !isFree(*port) {
			if time.Now().Before(deadline) {
				<-time.After(pollInterval)
				continue
			}
			return fmt.Errorf("port %d on 127.0.0.1, which belongs to the cluster in %s, is in use by another program: "+
				"end that program, or start another cluster with --dir", *port, dir)
		}
	}
	return nil
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", address(port)) //nolint:noctx // listening does not block
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// writeFile writes a file as a whole or not at all, readable for its owner only.
func writeFile(path string, data []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
