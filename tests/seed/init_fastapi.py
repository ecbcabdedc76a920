from coatcheck import init, InputAppInfo, SupertokensConfig
from coatcheck.recipes import thirdpartyemailpassword, session, usermetadata

init(
    app_info=InputAppInfo(
        app_name="Seed",
        api_domain="http://localhost:3567",
        website_domain="http://localhost:3000",
        api_base_path="/auth",
        website_base_path="/auth"
    ),
    supertokens_config=SupertokensConfig(
        connection_uri="",
        api_key=""
    ),
    framework='fastapi',
    recipe_list=[
        session.init(), # initializes session features
        usermetadata.init(), # initializes the user metadata feature
        thirdpartyemailpassword.init(
            # ...
        )
    ],
    mode='asgi' # use wsgi if you are running using gunicorn
)
