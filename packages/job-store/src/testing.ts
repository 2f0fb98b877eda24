/** Subpath `./testing`: what every engine of the contract must pass. Not for use outside tests. */
export type { ContractCase, ContractSetup, ContractStores } from './testing/contract-case.ts';
export { jobStoreContract } from './testing/contract.ts';
export type { ModelClaim, ModelCommand } from './testing/model-command.ts';
export { runModel, type ModelRun } from './testing/model.ts';
