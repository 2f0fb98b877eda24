/** Subpath `./testing`: what every engine of the contract must pass. Not for use outside tests. */
export type { ContractCase, ContractSetup, ContractStores } from './testing/contract-case.ts';
export { jobStoreContract } from './testing/contract.ts';
export { runModel, type ModelCommand, type ModelRun } from './testing/model.ts';
