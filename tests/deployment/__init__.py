"""How the app is packaged, deployed and checked: azd, GitHub, pinned packages, the deployment package."""
