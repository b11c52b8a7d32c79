package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

func newDownCommand(streams IOStreams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End what `bulkhead up` runs; its state stays",
		Long: "Ends what `bulkhead up` runs in the data folder, and returns when all of it has ended. The state stays:\n" +
			"`bulkhead up` resumes it, and removing the folder removes it.",
		Example:           "  bulkhead down\n  bulkhead down --dir other",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// An `up` ends within ten seconds.
			ctx, cancel := context.WithTimeout(cmd.Context(), 20*time.Second)
			defer cancel()
			err := localcluster.Down(ctx, dir)
			if errors.Is(err, localcluster.ErrNotRunning) {
				streams.Progressf("nothing runs in %s", dir)
				return nil
			}
			if err == nil {
				streams.Progressf("ended; the state stays in %s, and `bulkhead up` resumes it", dir)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", defaultDir, "data folder that was given to `bulkhead up`")
	return cmd
}
