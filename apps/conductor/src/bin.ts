#!/usr/bin/env node
/** The door of the command: switches Node's compile cache on before anything of ours is loaded, which halves the start. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
await import('./main.ts');
