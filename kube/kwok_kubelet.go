package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/kwok/server"
)

const defaultLog = "simulated pod: no process runs here\n"

// serveKubelet answers for the kubelets of all simulated nodes: logs come from
// one file, exec, attach and port-forward are refused because no process is
// there. A failure to serve is sent to failed. The returned function removes
// the temporary log.
func serveKubelet(ctx context.Context, opts kwokOptions, failed chan<- error) (func(), error) {
	logFile, err := containerLog(opts.logFile, time.Now())
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.Remove(logFile) }
	srv, err := server.NewServer(server.Config{
		ClusterLogs: []*internalversion.ClusterLogs{{
			ObjectMeta: metav1.ObjectMeta{Name: "all"},
			Spec: internalversion.ClusterLogsSpec{
				Logs: []internalversion.Log{{LogsFile: logFile, PreviousLogsFile: logFile}},
			},
		}},
	})
	if err != nil {
		remove()
		return nil, fmt.Errorf("kubelet endpoint: %w", err)
	}
	srv.InstallHealthz()
	srv.InstallDebuggingHandlers()
	go func() {
		if err := srv.Run(ctx, opts.serverAddress, opts.tlsCertFile, opts.tlsKeyFile); ctx.Err() == nil {
			failed <- fmt.Errorf("kubelet endpoint: %w", err)
		}
	}()
	return remove, nil
}

// containerLog writes the text of source, or a default line, into a temporary
// file in the format container runtimes write and log readers expect.
func containerLog(source string, now time.Time) (string, error) {
	text := []byte(defaultLog)
	if source != "" {
		var err error
		if text, err = os.ReadFile(source); err != nil {
			return "", fmt.Errorf("--log-file: %w", err)
		}
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fmt.Fprintf(&out, "%s stdout F %s\n", now.UTC().Format(time.RFC3339Nano), lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("--log-file: %w", err)
	}
	file, err := os.CreateTemp("", "kwok-*.log")
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := file.Write(out.Bytes()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}
