"""Names of the SDK that coatcheck knowingly lacks, and why; told in the ImportError of those who ask for one."""

from __future__ import annotations

_PLUGINS = "coatcheck has no plugins; use the overrides of the recipes"
_ONE_TENANT = "coatcheck has one tenant, `public`"
_NOT_LINKED = "coatcheck does not link accounts yet"
_KEYS = "signing keys and tokens belong to the session recipe, which every application lists anyway"
_NO_ERRORS = "the recipe raises no errors of its own: forms are answered with FIELD_ERROR, functions return results"
_NO_CORE = "there is no core server to forget anything of: leave it out; Supertokens.reset() drops everything there is"

ABSENT: dict[str, str] = {
    "SupertokensExperimentalConfig": _PLUGINS,
    "SupertokensPublicConfig": _PLUGINS,
    "plugins": _PLUGINS,
    "exceptions.PluginError": _PLUGINS,
    "process_state": _NO_CORE,
    "querier": _NO_CORE,
    **{
        f"{module}.{name}": "user ids are not mapped to ids of other systems"
        for module in ("asyncio", "syncio")
        for name in (
            "create_user_id_mapping",
            "get_user_id_mapping",
            "delete_user_id_mapping",
            "update_or_delete_user_id_mapping_info",
        )
    },
    "recipe.emailpassword.exceptions": _NO_ERRORS,
    "recipe.thirdparty.providers": "a provider has no class of its own; ProviderConfig(third_party_id=...) names it",
    "recipe.emailverification": "coatcheck does not verify addresses yet",
    "recipe.passwordless": "coatcheck has no passwordless sign-in yet",
    "recipe.thirdpartypasswordless": "coatcheck has no passwordless sign-in yet",
    "recipe.userroles": "coatcheck has no roles yet; a PrimitiveArrayClaim can hold them",
    "recipe.multifactorauth": "coatcheck has no recipe for factors yet; a BooleanClaim can tell that a second is done",
    "recipe.totp": "coatcheck has no one-time passwords yet",
    "recipe.webauthn": "coatcheck has no passkeys yet",
    "recipe.dashboard": "there is no dashboard; `coatcheck` on the command line shows what there is",
    "recipe.oauth2provider": "coatcheck does not serve OAuth clients",
    "recipe.saml": "coatcheck does not speak SAML",
    "recipe.jwt.init": _KEYS,
    "recipe.jwt.recipe": _KEYS,
    "recipe.openid.init": _KEYS,
    "recipe.openid.recipe": _KEYS,
    "recipe.multitenancy.AllowedDomainsClaim": _ONE_TENANT,
    "recipe.multitenancy.asyncio": _ONE_TENANT,
    "recipe.multitenancy.syncio": _ONE_TENANT,
    "recipe.accountlinking.ShouldAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.ShouldNotAutomaticallyLink": _NOT_LINKED,
    "recipe.accountlinking.AccountInfoWithRecipeIdAndUserId": _NOT_LINKED,
    "ingredients.smsdelivery": "nothing is sent by SMS",
}
