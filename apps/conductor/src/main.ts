/** The process: runs its command line and sets its exit code. */
import { runCli } from './cli.ts';
import { createProcessIo, endWithReader } from './process-io.ts';

endWithReader();
process.exitCode = await runCli(process.argv.slice(2), createProcessIo());
