/** The process: runs its command line and sets its exit code. */
import { runCli } from './cli.ts';
import { createProcessIo } from './process-io.ts';

// A reader that went away (`conductor runs list | head`) ends the command; it is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), createProcessIo());
