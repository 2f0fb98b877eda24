#!/usr/bin/env node
/**
 * The door of the command: refuses a Node that cannot run what is behind it, in words, and switches Node's compile cache
 * on before anything of ours is loaded, which halves the start. Invariant: an old Node can load this file.
 */
import nodeModule from 'node:module';

import { isNodeSupported } from './node-version.ts';

if (isNodeSupported(process.versions.node)) {
  nodeModule.enableCompileCache();
  await import('./main.ts');
} else {
  process.stderr.write(
    `error Conductor needs Node 22.18, or 24 and newer; this is ${process.versions.node}\nInstall one from https://nodejs.org, or put it first on PATH.\n`,
  );
  process.exitCode = 2;
}
